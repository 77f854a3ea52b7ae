// How many are in a room: as programs for Node ask. axios throws for every status but 2xx.
const axios = require("axios");

const { API_URL, API_KEY } = process.env;

async function main(room) {
  const { data } = await axios.get(`${API_URL}/api/rooms/${room}/participants`, {
    headers: { "X-API-Key": API_KEY },
  });
  console.log(data.participant_count);
}

main(process.argv[2]).catch((error) => {
  console.error(error.response ? error.response.data.detail : error.message);
  process.exit(1);
});
