package api_test

import (
	"testing"

	"ppch/component/occupancy"
)

func TestLive_DependsOnNothing(t *testing.T) {
	for name, link := range map[string]connection{"up": healthyConnection(), "down": lostConnection(), "never tried": {domains: []domainStatus{{jid: mainDomain}}}} {
		t.Run(name, func(t *testing.T) {
			if got := start(t, linked(link)).get("/livez"); got.status != 200 || string(got.body) != "ok\n" {
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
			name:       "a domain whose rooms are hidden is answered for, if with 503",
			link:       connection{up: true, domains: []domainStatus{{jid: mainDomain, mode: occupancy.ModeExistence}}},
			target:     "/readyz?verbose=1",
			wantStatus: 200,
			wantBody:   "[+]stream ok\n[+]muc.meet.jitsi ok: existence\nreadyz check passed\n",
		},
		{
			name:       "a failing check is told without being asked for",
			link:       lostConnection(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[-]stream failed: " + refused + "\n[-]muc.meet.jitsi failed: " + refused + "\nreadyz check failed\n",
			wantRetry:  "3",
		},
		{
			name:       "a domain whose rooms are being learnt isn't answered for, but soon",
			link:       syncingConnection(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody: "[+]stream ok\n[-]muc.meet.jitsi failed: " + syncing.Remedy + "\n" +
				"[-]breakout.meet.jitsi failed: breakout.meet.jitsi is not a MUC service\nreadyz check failed\n",
			wantRetry: "1",
		},
		{
			name:       "a mend of two lines can't pass for two checks",
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
			got := start(t, linked(c.link)).get(c.target)
			if got.status != c.wantStatus || string(got.body) != c.wantBody || got.header.Get("Retry-After") != c.wantRetry {
				t.Errorf("got %d %q Retry-After %q, want %d %q %q", got.status, got.body, got.header.Get("Retry-After"), c.wantStatus, c.wantBody, c.wantRetry)
			}
		})
	}
}
