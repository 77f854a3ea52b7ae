package api_test

import (
	"testing"

	"ppch/component/occupancy"
)

func TestLiveDependsOnNothing(t *testing.T) {
	for name, link := range map[string]occupancy.Link{"up": healthyLink(), "down": downLink(), "never tried": {}} {
		t.Run(name, func(t *testing.T) {
			if got := start(t, linked(link)).get("/livez"); got.status != 200 || string(got.body) != "ok\n" {
				t.Errorf("got %d %q, want 200 ok", got.status, got.body)
			}
		})
	}
}

func TestReady(t *testing.T) {
	twoLines := &occupancy.UnknownError{Reason: occupancy.ReasonNoMUC, Mend: "first\r\n[+]second"}
	cases := []struct {
		name       string
		link       occupancy.Link
		target     string
		wantStatus int
		wantBody   string
		wantRetry  string
	}{
		{
			name:       "a domain whose rooms are hidden is answered for, if with 503",
			link:       occupancy.Link{Up: true, Domains: []occupancy.Domain{{JID: mainDomain, Mode: occupancy.ModeExistence}}},
			target:     "/readyz?verbose=1",
			wantStatus: 200,
			wantBody:   "[+]stream ok\n[+]muc.meet.jitsi ok: existence\nreadyz check passed\n",
		},
		{
			name:       "a failing check is told without being asked for",
			link:       downLink(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[-]stream failed: " + refused + "\n[-]muc.meet.jitsi failed\nreadyz check failed\n",
			wantRetry:  "3",
		},
		{
			name:       "a domain whose rooms are being learnt isn't answered for, but soon",
			link:       learningLink(),
			target:     "/readyz",
			wantStatus: 503,
			wantBody: "[+]stream ok\n[-]muc.meet.jitsi failed: " + syncing.Mend + "\n" +
				"[-]breakout.meet.jitsi failed: breakout.meet.jitsi is not a MUC service\nreadyz check failed\n",
			wantRetry: "1",
		},
		{
			name:       "a mend of two lines can't pass for two checks",
			link:       occupancy.Link{Up: true, Domains: []occupancy.Domain{{JID: mainDomain, Problem: twoLines}}},
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[+]stream ok\n[-]muc.meet.jitsi failed: first [+]second\nreadyz check failed\n",
		},
		{
			name:       "nothing has been tried yet",
			target:     "/readyz",
			wantStatus: 503,
			wantBody:   "[-]stream failed\nreadyz check failed\n",
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
