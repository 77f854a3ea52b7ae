package view

// Info is about the service, and has the paths of its documentation: "GET /".
type Info struct {
	Service        string `json:"service"`
	Version        string `json:"version"`
	Docs           string `json:"docs"`
	Dashboard      string `json:"dashboard"`
	Health         string `json:"health"`
	APIEndpoint    string `json:"api_endpoint"`
	Authentication string `json:"authentication"`
	OpenAPI        string `json:"openapi"`
}

// NewInfo returns the document for this version.
func NewInfo(version string) Info {
	return Info{
		Service:        ServiceName,
		Version:        version,
		Docs:           "/docs",
		Dashboard:      "/dashboard/",
		Health:         "/health",
		APIEndpoint:    "/api/rooms/{room_name}/participants",
		Authentication: "API key in the header X-API-Key, or as Authorization: Bearer",
		OpenAPI:        "/openapi.json",
	}
}
