package api

import (
	"net/http"

	"ppch/api/view"
)

// infoView is where to go from "/".
type infoView struct {
	Service        string `json:"service"`
	Version        string `json:"version"`
	Docs           string `json:"docs"`
	Dashboard      string `json:"dashboard"`
	Health         string `json:"health"`
	APIEndpoint    string `json:"api_endpoint"`
	Authentication string `json:"authentication"`
	OpenAPI        string `json:"openapi"`
}

// getInfo handles "GET /".
func (s *Server) getInfo(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, infoView{
		Service:        view.ServiceName,
		Version:        s.version,
		Docs:           "/docs",
		Dashboard:      "/dashboard/",
		Health:         "/health",
		APIEndpoint:    "/api/rooms/{room_name}/participants",
		Authentication: "API key in the header X-API-Key, or as Authorization: Bearer",
		OpenAPI:        "/openapi.json",
	})
}
