// Starts Swagger UI. A file of its own, because the page's Content-Security-Policy allows no inline script.
"use strict";

SwaggerUIBundle({
	url: document.getElementById("swagger-ui").dataset.document,
	dom_id: "#swagger-ui",
	deepLinking: true,
	presets: [SwaggerUIBundle.presets.apis],
	// null keeps Swagger UI from asking validator.swagger.io about this installation.
	validatorUrl: null,
});
