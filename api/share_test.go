package api_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// testToken is the token of the share links of tests.
const testToken = "pps_ABCDEFGHIJKLMNOPQRSTUVWXY2"

// withLink adds a share link with testToken and the given fields to the keys.
func withLink(fields string) func(*api.Config) {
	return func(cfg *api.Config) {
		f, err := os.CreateTemp("", "keys")
		if err != nil {
			panic(err)
		}
		defer os.Remove(f.Name()) // it is read at once
		scope := "scope=share"
		if strings.Contains(fields, "scope=") {
			scope = ""
		}
		_, _ = f.WriteString(apitest.KeyLine(testToken, "name=door "+scope+" "+fields))
		_ = f.Close()
		cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, File: f.Name(), Names: names})
		if cfg.Prosody != nil && cfg.Directory == nil {
			withRooms(occupied)(cfg)
		}
	}
}

// withoutGuesses leaves the address of the tests no wrong key or token.
func withoutGuesses(cfg *api.Config) {
	for range 10 {
		_, _ = cfg.Keys.IdentifyLink("pps_WRONG", netip.MustParsePrefix("127.0.0.1/32"))
	}
}

// shared returns what the share link shows.
func (s *service) shared() (doc sharedDoc) {
	s.t.Helper()
	got := s.do(ask{target: "/s/" + testToken + ".json", header: http.Header{"X-Api-Key": nil}})
	if got.status != http.StatusOK {
		s.t.Fatalf("got %d %s", got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &doc); err != nil {
		s.t.Fatal(err)
	}
	return doc
}

type sharedDoc struct {
	List  bool
	Rooms []struct {
		Name         string `json:"display_name"`
		Exists       bool
		People       int `json:"participant_count"`
		Participants []string
	}
	RoomCount int  `json:"room_count"`
	People    int  `json:"participant_count"`
	Current   bool `json:"current"`
}

// text is the rooms in short.
func (d sharedDoc) text() string {
	var all []string
	for _, r := range d.Rooms {
		all = append(all, fmt.Sprintf("%s %d %v", r.Name, r.People, r.Participants))
	}
	return fmt.Sprintf("%d rooms, %d people: %s", d.RoomCount, d.People, strings.Join(all, "; "))
}

func TestShareLink_ShowsItsRoomsOnly(t *testing.T) {
	for name, c := range map[string]struct{ fields, want string }{
		"one room":              {"room=planning", "1 rooms, 2 people: planning 2 []"},
		"one room, with names":  {"room=planning scope=share,participants", "1 rooms, 2 people: planning 2 [Name of p0 Name of p1]"},
		"a room that is closed": {"room=nothing", "0 rooms, 0 people: nothing 0 []"},
		"two rooms":             {"room=standup,planning", "2 rooms, 3 people: standup 1 []; planning 2 []"},
		"a pattern":             {"room=plan*", "2 rooms, 9 people: planet 7 []; planning 2 []"},
		"a room and a pattern":  {"room=standup,plan*", "3 rooms, 10 people: standup 1 []; planet 7 []; planning 2 []"},
		"all rooms":             {"", "3 rooms, 10 people: planet 7 []; planning 2 []; standup 1 []"},
		"a pattern without any": {"room=x*", "0 rooms, 0 people: "},
	} {
		t.Run(name, func(t *testing.T) {
			d := apitest.NewMeetings(t, map[string]int{"planning": 2, "planet": 7, "standup": 1, "plan-b": 0})
			s := start(t, withDirectory(d.Directory), withLink(c.fields))
			doc := s.shared()
			if got := doc.text(); got != c.want || !doc.Current {
				t.Errorf("got %q, current %t; want %q", got, doc.Current, c.want)
			}
		})
	}
}

func TestShareLink_IsNoKey(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	s := start(t, withDirectory(d.Directory), withLink("room=planning scope=share,participants"))
	for _, target := range []string{"/api/rooms/planning", "/api/rooms", "/api/stats", "/api/events", "/metrics", "/api/diagnostics"} {
		s.do(ask{target: target, header: http.Header{"X-Api-Key": {testToken}}}).wantProblem(t, 403, "wrong-key")
	}
	for _, token := range []string{testKey, "pps_", strings.ToLower(testToken), testToken + "A"} {
		s.get("/s/"+token+".json").wantProblem(t, 404, "wrong-share-link")
	}
}

func TestShareLink_WrongTokensAreLimited(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	statuses := map[int]int{}
	for i := range 40 {
		statuses[s.get(fmt.Sprintf("/s/pps_%026d.json", i)).status]++
	}
	if statuses[404] != 10 || statuses[429] != 30 {
		t.Errorf("got %v, want ten that are unknown, and the others limited", statuses)
	}
	if got := s.get("/s/pps_OTHER.svg"); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("a badge got %d", got.status)
	}
	s.do(ask{target: "/api/stats", header: http.Header{"X-Api-Key": {"guess"}}}).wantProblem(t, 429, "rate-limited")
	if doc := s.shared(); doc.People != 2 {
		t.Errorf("the right token of the same address got %+v", doc)
	}
}

// 2,000 requests while the room changes three times cost one badge and one summary for each state.
func TestShareLink_EncodesBadgeOncePerChange(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	s := start(t, withDirectory(d.Directory), withLink("room=planning"), func(cfg *api.Config) {
		cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, File: linkFile(t, "room=planning"), Names: names, Rate: 5})
	})
	for change := range 4 {
		if change > 0 {
			d.SetPeople("planning", 2+change)
		}
		want := fmt.Sprintf("planning · %d people", 2+change)
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() {
				for range 25 {
					resp, err := s.client.Get(s.url("/s/" + testToken + ".svg"))
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
						t.Errorf("got %d %s, want %s", resp.StatusCode, body, want)
						return
					}
				}
			})
		}
		readers.Wait()
	}
	if got := s.Encoded(); got != 4 {
		t.Errorf("got %d encodings, want one for each of 4 states", got)
	}
}

// linkFile returns a file with a share link.
func linkFile(t *testing.T, fields string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(apitest.KeyLine(testToken, "name=door scope=share "+fields)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShareBadge_Headers(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	got := s.get("/s/" + testToken + ".svg?lang=de")
	for name, want := range map[string]string{
		"Content-Type": "image/svg+xml", "Cache-Control": "no-cache", "Cross-Origin-Resource-Policy": "cross-origin", "Referrer-Policy": "no-referrer",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.header.Get(name), want)
		}
	}
	if !strings.Contains(string(got.body), "planning · 2 Personen") {
		t.Errorf("got %s", got.body)
	}
	has := http.Header{"If-None-Match": {got.header.Get("ETag")}}
	if again := s.do(ask{target: "/s/" + testToken + ".svg?lang=de", header: has}); again.status != http.StatusNotModified {
		t.Errorf("got %d for what the client has", again.status)
	}
	d.SetPeople("planning", 1)
	if again := s.do(ask{target: "/s/" + testToken + ".svg?lang=de", header: has}); again.status != 200 || !strings.Contains(string(again.body), "1 Person") {
		t.Errorf("got %d %s after a change", again.status, again.body)
	}
}

// Pages of other origins show every badge, also one without a number.
func TestShareBadge_OtherOriginsShowErrors(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	get := func(s *service, token string, want int) {
		t.Helper()
		got := s.do(ask{target: "/s/" + token + ".svg"})
		if got.status != want || got.header.Get("Content-Type") != "image/svg+xml" || got.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("got %d %v, want a badge with status %d for pages of other origins", got.status, got.header, want)
		}
	}
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	get(s, testToken, 200)
	get(start(t, withDirectory(d.Directory), withLink("room=planning expires=2020-01-01")), testToken, 410)
	stranger := start(t, withDirectory(d.Directory), withLink("room=planning"))
	for range 10 {
		get(stranger, "pps_AAAAAAAAAAAAAAAAAAAAAAAAAA", 404)
	}
	get(stranger, "pps_AAAAAAAAAAAAAAAAAAAAAAAAAA", 429)
	d.MaxStaleness = time.Millisecond
	d.Lose(&occupancy.UnavailableError{Reason: occupancy.ReasonTimeout, Remedy: "restart Prosody"})
	time.Sleep(5 * time.Millisecond)
	get(s, testToken, 503)
}

// A number that is unknown is none, neither in a document, nor on a badge, nor in a stream.
func TestShareLink_UnknownIsNoNumber(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	d.MaxStaleness = time.Millisecond
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	d.Lose(&occupancy.UnavailableError{Reason: occupancy.ReasonTimeout, Remedy: "restart Prosody"})
	time.Sleep(5 * time.Millisecond)
	s.get("/s/"+testToken+".json").wantProblem(t, 503, "prosody-unavailable")
	badge := s.get("/s/" + testToken + ".svg")
	if badge.status != 503 || !strings.Contains(string(badge.body), "unknown") || strings.ContainsAny(textOf(t, badge.body), "0123456789") {
		t.Errorf("got %d %s", badge.status, badge.body)
	}
	f := s.follow("/s/" + testToken + "/events")
	if e := f.Until("problem"); !strings.Contains(text(e), `"reason":"timeout"`) || strings.Contains(text(e), "participant_count") {
		t.Errorf("got %s", e.Data)
	}
}

// textOf returns the text in an SVG image, which has to be well-formed.
func textOf(t *testing.T, image []byte) string {
	t.Helper()
	text := ""
	for d := xml.NewDecoder(strings.NewReader(string(image))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Fatalf("%v: %s", err, image)
		}
		switch token := token.(type) {
		case xml.CharData:
			text += string(token)
		case xml.StartElement:
			if strings.EqualFold(token.Name.Local, "script") || strings.EqualFold(token.Name.Local, "foreignObject") {
				t.Fatalf("got an element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || strings.Contains(a.Name.Local, "href") {
					t.Fatalf("got an attribute %s", a.Name.Local)
				}
			}
		}
	}
}

func TestShareLink_EventsFollowTheRoom(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2, "standup": 1})
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	f := s.follow("/s/" + testToken + "/events")
	if e := f.Until("shared"); !strings.Contains(text(e), `"participant_count":2`) {
		t.Errorf("got %s", e.Data)
	}
	d.SetPeople("standup", 5)
	d.SetPeople("planning", 3)
	if e := f.Until("shared"); !strings.Contains(text(e), `"participant_count":3`) || strings.Contains(text(e), "standup") {
		t.Errorf("got %s", e.Data)
	}
}

// The stream says that the link was withdrawn or has expired, and ends.
func TestShareLink_EventsEndWithTheLink(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	soon := time.Now().Add(1500 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	for name, c := range map[string]struct{ fields, code string }{
		"expires": {"room=planning expires=" + soon, "share-link-expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, withDirectory(d.Directory), withLink(c.fields))
			f := s.follow("/s/" + testToken + "/events")
			f.Until("shared")
			if e := f.Until("end"); !strings.Contains(text(e), c.code) {
				t.Errorf("got %s, want %s", e.Data, c.code)
			}
			if got := s.get("/s/" + testToken + ".json"); got.status != http.StatusGone {
				t.Errorf("got %d afterwards", got.status)
			}
		})
	}
}

// The token is a secret: no request with it, and no failure, puts it into the log or the metrics.
func TestShareLink_TokenIsNotLogged(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	s := start(t, withDirectory(d.Directory), withLink("room=planning"), withDebugLog, withMetrics)
	for _, path := range []string{"", ".json", ".svg", ".png", "/", "/nothing", ".svg?lang=tlh", "?x=" + testToken} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, "INVENTED"} {
			s.ask(method, "/s/"+testToken+path)
			s.ask(method, "//s/"+testToken+path)
			s.ask(method, "/s/%70ps_"+testToken[4:]+path)
			s.ask(method, "/api/rooms/pps%5F"+testToken[4:]+path)
		}
	}
	d.Lose(&occupancy.UnavailableError{Reason: occupancy.ReasonTimeout})
	s.ask(http.MethodGet, "/s/"+testToken+".json")
	metrics := s.get("/metrics")
	s.log.records(t, 60)
	for what, text := range map[string]string{"log": s.log.String(), "metrics": string(metrics.body)} {
		if strings.Contains(text, testToken[4:]) {
			t.Errorf("the %s has the token", what)
		}
	}
}

// ask sends a request that may be no operation of the document.
func (s *service) ask(method, target string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url(target), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
}

// Only the origins that are named may frame the page, and nothing else may be framed.
func TestSharePage_Framing(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	closed := start(t, withDirectory(d.Directory), withLink("room=planning"))
	open := start(t, withDirectory(d.Directory), withLink("room=planning"), func(cfg *api.Config) {
		cfg.EmbedOrigins = []string{"https://wiki.example.com", "http://localhost:3000"}
	})
	for _, c := range []struct {
		name            string
		s               *service
		target          string
		frame, ancestor string
	}{
		{"none is named", closed, "/s/" + testToken, "DENY", "frame-ancestors 'none'"},
		{"two are named", open, "/s/" + testToken, "", "frame-ancestors 'self' https://wiki.example.com http://localhost:3000;"},
		{"two are named, and the token is wrong", open, "/s/pps_WRONG", "", "frame-ancestors 'self' https://wiki.example.com http://localhost:3000;"},
		{"the dashboard", open, "/dashboard/", "DENY", "frame-ancestors 'none'"},
		{"the document", open, "/s/" + testToken + ".json", "DENY", "frame-ancestors 'none'"},
	} {
		got := c.s.get(c.target)
		if got.header.Get("X-Frame-Options") != c.frame || !strings.Contains(got.header.Get("Content-Security-Policy"), c.ancestor) {
			t.Errorf("%s: got X-Frame-Options %q and %q", c.name, got.header.Get("X-Frame-Options"), got.header.Get("Content-Security-Policy"))
		}
	}
}

// text returns the data of an event as JSON.
func text(e apitest.Event) string {
	data, _ := json.Marshal(e.Data) // it was JSON
	return string(data)
}

// After an interruption the stream sends the document again, even if nothing has changed: the page shows no number meanwhile.
func TestShareLink_EventsAfterAnInterruption(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	d.MaxStaleness = 2 * time.Second
	s := start(t, withDirectory(d.Directory), withLink("room=planning"))
	d.Heartbeat()
	f := s.follow("/s/" + testToken + "/events")
	f.Until("shared")
	d.Lose(&occupancy.UnavailableError{Reason: occupancy.ReasonLost})
	f.Until("beat", func(e apitest.Event) bool { return e.Data["current"] == false })
	if e := f.Until("problem"); e.Data["display_name"] != "planning" || e.Data["reason"] != "lost" {
		t.Errorf("got %s", text(e))
	}
	d.Connect(time.Now())
	d.Heartbeat()
	e := f.Next()
	for ; e.Name == "problem"; e = f.Next() { // another one before it has noticed
	}
	if e.Name != "shared" || e.Data["participant_count"] != 2.0 {
		t.Errorf("got %s %s", e.Name, text(e))
	}
}

func TestShareLink_NamesPeopleOnly(t *testing.T) {
	meeting := func(_ context.Context, room jid.JID) (occupancy.Room, error) {
		return occupancy.Room{JID: room, Exists: true, Participants: 2, Exact: true, Source: occupancy.SourceModule, AsOf: now, Occupants: records([]occupancy.Occupant{
			{ID: "1", Name: "Recorder", Kind: occupancy.KindRecorder}, {ID: "2", Name: "Ada", Kind: occupancy.KindUser}, {ID: "3", Kind: occupancy.KindUser},
			{ID: "4", Name: "Focus", Kind: occupancy.KindFocus}, {ID: "5", Name: "Guest of honour", Kind: occupancy.KindHidden},
		}...)}, nil
	}
	s := start(t, withRooms(meeting), withLink("room=planning scope=share,participants"))
	if got, want := s.shared().text(), "1 rooms, 2 people: planning 2 [Ada]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A link that shows names never gets a 304 for a document without them, nor the reverse.
func TestShareLink_NamesHaveAnotherTag(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"planning": 2})
	get := func(fields, tag string) answer {
		return start(t, withDirectory(d.Directory), withSecret(nodesSecret), withLink(fields)).do(ask{target: "/s/" + testToken + ".json", header: http.Header{"If-None-Match": {tag}}})
	}
	tag := get("room=planning", "").header.Get("ETag")
	for fields, want := range map[string]int{
		"room=planning": http.StatusNotModified, "room=planning scope=share,participants": http.StatusOK, "room=planning expires=2099-12-31": http.StatusOK, "room=planning,standup": http.StatusOK,
	} {
		if got := get(fields, tag); got.status != want {
			t.Errorf("%s: got %d want %d", fields, got.status, want)
		}
	}
}
