package api_test

import (
	"testing"
	"time"

	"ppch/api"
	"ppch/component/occupancy"
)

func TestHealth_Statuses(t *testing.T) {
	lost := &occupancy.UnavailableError{Reason: occupancy.ReasonLost, Remedy: "look at Prosody's log", RetryAfter: 100 * time.Millisecond}
	noMUC := &occupancy.UnavailableError{Reason: occupancy.ReasonNoMUC, Remedy: "fix MUC_DOMAIN"}
	const connecting = "error: PPCH is connecting to Prosody: retry in a moment"
	hidden := occupancy.ProblemHidden.About(mainDomain).Err(nil).Remedy
	domain := func(mode, status any) any {
		return map[string]any{"shard": "main", "domain": "muc.meet.jitsi", "mode": mode, "status": status}
	}
	cases := []struct {
		name        string
		link        connection
		wantStatus  int
		wantProsody string
		wantReason  any
		wantRetry   string
		wantDomains []any
	}{
		{
			name:       "counts from the module",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeModule}}},
			wantStatus: 200, wantProsody: "ok", wantDomains: []any{domain("module", "ok")},
		},
		{
			name:       "numbers of occupants from disco",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeDisco}}},
			wantStatus: 200, wantProsody: "ok", wantDomains: []any{domain("disco", "ok")},
		},
		{
			name:       "no request for a room yet",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeUndecided}}},
			wantStatus: 200, wantProsody: "ok", wantDomains: []any{domain("undecided", "ok")},
		},
		{
			name:       "Prosody hides rooms, which only an operator can fix",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeExistence}}},
			wantStatus: 503, wantProsody: "error: " + hidden, wantReason: "module-missing", wantDomains: []any{domain("existence", "error: "+hidden)},
		},
		{
			name:       "rooms are loading",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeModule, problem: syncing}}},
			wantStatus: 503, wantProsody: "syncing", wantReason: "syncing", wantRetry: "1", wantDomains: []any{domain(nil, "syncing")},
		},
		{
			name:       "a lost stream has priority over problems of domains",
			link:       connection{problem: lost, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeModule, problem: syncing}}},
			wantStatus: 503, wantProsody: "error: look at Prosody's log", wantReason: "lost", wantRetry: "1",
			wantDomains: []any{domain(nil, "error: look at Prosody's log")},
		},
		{
			name:       "the main domain is no MUC service",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeModule, problem: noMUC}}},
			wantStatus: 503, wantProsody: "error: fix MUC_DOMAIN", wantReason: "no-muc", wantDomains: []any{domain(nil, "error: fix MUC_DOMAIN")},
		},
		{
			name:       "the stream ended, and a reconnect follows in less than a second",
			link:       connection{problem: lost, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeModule}}},
			wantStatus: 503, wantProsody: "error: look at Prosody's log", wantReason: "lost", wantRetry: "1",
			wantDomains: []any{domain(nil, "error: look at Prosody's log")},
		},
		{
			name:       "nothing has been tried yet",
			link:       connection{domains: []domainStatus{{jid: mainDomain}}},
			wantStatus: 503, wantProsody: connecting, wantReason: "connecting", wantRetry: "1", wantDomains: []any{domain(nil, connecting)},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t, withConnection(c.link)).get("/health")
			view := got.object(t)
			if got.status != c.wantStatus || got.header.Get("Retry-After") != c.wantRetry {
				t.Errorf("got %d and Retry-After %q, want %d and %q", got.status, got.header.Get("Retry-After"), c.wantStatus, c.wantRetry)
			}
			wantWord := map[int]string{200: "ok", 503: "error"}[c.wantStatus]
			if view["status"] != wantWord || view["prosody_status"] != c.wantProsody || view["reason"] != c.wantReason {
				t.Errorf("got %v, %v, %v, want %v, %v, %v", view["status"], view["prosody_status"], view["reason"], wantWord, c.wantProsody, c.wantReason)
			}
			same(t, "domains", c.wantDomains, view["domains"])
		})
	}
}

func TestHealth_Build(t *testing.T) {
	known := start(t).get("/health").object(t)
	if known["commit"] != "5d9c1c0ba7e05a1f6d7d0c4c1f4d3f0e8f9a2b37" || known["built"] != "2026-11-21T17:00:00.000Z" {
		t.Errorf("got %v of %v, want the commit and its date in UTC", known["commit"], known["built"])
	}
	unknown := start(t, func(c *api.Config) { c.Commit, c.Built = "", time.Time{} }).get("/health").object(t)
	for _, field := range []string{"commit", "built"} {
		if value, ok := unknown[field]; !ok || value != nil {
			t.Errorf("%s: got %v, %t, want null", field, value, ok)
		}
	}
}

func TestHealth_SecondDomainDoesNotFail(t *testing.T) {
	cases := []struct {
		name       string
		domain     domainStatus
		wantMode   any
		wantStatus string
	}{
		{
			"its rooms are hidden", domainStatus{jid: breakoutDomain, mode: occupancy.ModeExistence},
			"existence", "error: " + occupancy.ProblemHidden.About(breakoutDomain).Err(nil).Remedy,
		},
		{
			"its rooms are loading", domainStatus{jid: breakoutDomain, mode: occupancy.ModeModule, problem: syncing},
			nil, "syncing",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			link := healthyConnection()
			link.domains[1] = c.domain
			got := start(t, withConnection(link)).get("/health")
			view := got.object(t)
			if got.status != 200 || view["prosody_status"] != "ok" {
				t.Errorf("got %d and %v, want 200 and ok", got.status, view["prosody_status"])
			}
			if domain := view["domains"].([]any)[1].(map[string]any); domain["status"] != c.wantStatus || domain["mode"] != c.wantMode {
				t.Errorf("got %v, want status %q and mode %v", domain, c.wantStatus, c.wantMode)
			}
		})
	}
}

func TestLive_DependsOnNothing(t *testing.T) {
	for name, link := range map[string]connection{"up": healthyConnection(), "down": lostConnection(), "never tried": {domains: []domainStatus{{jid: mainDomain}}}} {
		t.Run(name, func(t *testing.T) {
			if got := start(t, withConnection(link)).get("/livez"); got.status != 200 || string(got.body) != "ok\n" {
				t.Errorf("got %d %q, want 200 ok", got.status, got.body)
			}
		})
	}
}

func TestReady_Statuses(t *testing.T) {
	const connecting = "PPCH is connecting to Prosody: retry in a moment"
	twoLines := &occupancy.UnavailableError{Reason: occupancy.ReasonNoMUC, Remedy: "first\r\n[+]second"}
	cases := []struct {
		name       string
		link       connection
		target     string
		wantStatus int
		wantBody   string
		wantRetry  string
	}{
		{
			name:       "a domain whose rooms are hidden is ready, although counts are a 503",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeExistence}}},
			target:     "/readyz?verbose=1",
			wantStatus: 200,
			wantBody:   "[+]stream ok\n[+]muc.meet.jitsi ok: existence\nreadyz check passed\n",
		},
		{
			name:       "a failed check is listed without ?verbose",
			link:       lostConnection(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[-]stream failed: " + refused + "\n[-]muc.meet.jitsi failed: " + refused + "\nreadyz check failed\n",
			wantRetry:  "3",
		},
		{
			name:       "a domain whose rooms are loading isn't ready",
			link:       syncingConnection(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody: "[+]stream ok\n[-]muc.meet.jitsi failed: " + syncing.Remedy + "\n" +
				"[-]breakout.meet.jitsi failed: breakout.meet.jitsi is not a MUC service\nreadyz check failed\n",
			wantRetry: "1",
		},
		{
			name:       "a remedy of two lines can't look like two checks",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, problem: twoLines}}},
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[+]stream ok\n[-]muc.meet.jitsi failed: first [+]second\nreadyz check failed\n",
		},
		{
			name:       "nothing has been tried yet",
			link:       connection{domains: []domainStatus{{jid: mainDomain}}},
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[-]stream failed: " + connecting + "\n[-]muc.meet.jitsi failed: " + connecting + "\nreadyz check failed\n",
			wantRetry:  "1",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t, withConnection(c.link)).get(c.target)
			if got.status != c.wantStatus || string(got.body) != c.wantBody || got.header.Get("Retry-After") != c.wantRetry {
				t.Errorf("got %d %q Retry-After %q, want %d %q %q", got.status, got.body, got.header.Get("Retry-After"), c.wantStatus, c.wantBody, c.wantRetry)
			}
		})
	}
}
