// Paths are relative: a proxy may serve the page below a path of its own.
const health = await (await fetch("../health")).json();
document.getElementById("status").textContent = `Prosody: ${health.prosody_status}`;
