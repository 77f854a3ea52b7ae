package api

import (
	"net/http"
	"time"

	"ppch/component/occupancy"
)

// wiringView is how the service hangs together with Prosody.
type wiringView struct {
	Version    string            `json:"version"`
	Component  string            `json:"component"`
	Prosody    string            `json:"prosody"`
	Connected  bool              `json:"connected"`
	Since      *string           `json:"since"`
	LastAnswer *string           `json:"last_answer"`
	Reason     *occupancy.Reason `json:"reason"`
	Mend       *string           `json:"mend"`
	Domains    []wiredView       `json:"domains"`
	Services   []serviceView     `json:"services"`
	Admins     []adminView       `json:"admin_domains"`
}

// wiredView is how one watched MUC domain is known.
type wiredView struct {
	Domain  string            `json:"domain"`
	Mode    *occupancy.Mode   `json:"mode"`
	Reason  *occupancy.Reason `json:"reason"`
	Mend    *string           `json:"mend"`
	AsOf    *string           `json:"as_of"`
	Resyncs uint64            `json:"resyncs"`
	Module  *moduleView       `json:"module"`
}

// moduleView is the subscription to the Lua module.
type moduleView struct {
	Version    string   `json:"version"`
	Heartbeat  float64  `json:"heartbeat_seconds"`
	LastBatch  *string  `json:"last_batch"`
	Lag        float64  `json:"lag_seconds"`
	ClockAhead *float64 `json:"clock_ahead_seconds"`
	Rooms      int      `json:"rooms"`
	RoomCache  *int     `json:"room_cache"`
}

// serviceView is a MUC service that Prosody shows.
type serviceView struct {
	Domain    string   `json:"domain"`
	Protocols []string `json:"protocols"`
}

// adminView is a domain of admins. Who they are is nobody's business here.
type adminView struct {
	Domain string `json:"domain"`
	Local  bool   `json:"local"`
}

// getWiring handles "GET /api/wiring".
// It asks Prosody which MUC services there are, unless that was asked a moment ago.
func (s *Server) getWiring(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	// Asked first, so that the rest is as young as can be.
	services, err := s.prosody.Services()
	view := newWiringView(s.prosody.Wiring())
	view.Version = s.version
	if err == nil {
		view.Services = []serviceView{}
	}
	for _, service := range services {
		view.Services = append(view.Services, serviceView{service.JID.String(), append([]string{}, service.Protocols...)})
	}
	return writeJSON(w, http.StatusOK, view)
}

func newWiringView(wiring occupancy.Wiring) wiringView {
	main := wiring.Domains[0]
	view := wiringView{
		Component:  wiring.Component.String(),
		Prosody:    wiring.Prosody,
		Connected:  main.Connected,
		Since:      stamp(main.Since),
		LastAnswer: stamp(wiring.LastAnswer),
		Domains:    []wiredView{},
		Admins:     []adminView{},
	}
	if !main.Connected {
		view.Reason, view.Mend = why(main.Problem)
	}
	for _, domain := range wiring.Domains {
		d := wiredView{Domain: domain.JID.String(), AsOf: stamp(domain.AsOf), Resyncs: domain.Resyncs, Module: newModuleView(domain)}
		d.Reason, d.Mend = why(domain.CountProblem())
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		view.Domains = append(view.Domains, d)
	}
	told := map[string]bool{}
	for _, admin := range wiring.Admins {
		if domain := admin.JID.Domainpart(); !told[domain] {
			told[domain] = true
			view.Admins = append(view.Admins, adminView{domain, admin.Local})
		}
	}
	return view
}

// why returns a reason and its mend for a document, both null where there is none.
func why(trouble *occupancy.UnknownError) (*occupancy.Reason, *string) {
	if trouble == nil {
		return nil, nil
	}
	return &trouble.Reason, &trouble.Mend
}

func newModuleView(domain occupancy.DomainWiring) *moduleView {
	sync := domain.Sync
	if sync == nil {
		return nil
	}
	view := &moduleView{
		Version:   sync.Version,
		Heartbeat: sync.Heartbeat.Seconds(),
		LastBatch: stamp(sync.LastBatch),
		Lag:       sync.Lag.Round(time.Millisecond).Seconds(),
		Rooms:     domain.Rooms,
	}
	if sync.RoomCache > 0 {
		view.RoomCache = &sync.RoomCache
	}
	if sync.Ahead != nil {
		view.ClockAhead = new(sync.Ahead.Round(time.Millisecond).Seconds())
	}
	return view
}
