package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/api/view"
	"ppch/api/webhook"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// testEpoch is the epoch of every service.
const testEpoch = "20261122T080000Z-k3x7aq"

// noWebhooks stands for webhooks until a test has a folder for them.
var noWebhooks = new(webhook.Outbox)

// withWebhooks lets a service have webhooks: one, to which one delivery waits. It delivers nothing, but for tests.
func withWebhooks(cfg *api.Config) { cfg.Webhooks = noWebhooks }

const (
	firstJoin = `{"url":"https://chat.example.com/hooks/x7f3c2a","events":["room.occupied"],"rooms":["acme/*"],"names":true,"format":"text",` +
		`"template":"{\"text\":\"{participant} is in {display_name}\"}","headers":{"Authorization":"Bearer t0ken"}}`
	aWebhook = "/api/webhooks/first-join"
)

// useWebhooks gives a service the webhooks that its configuration wants, and returns their store.
func useWebhooks(t testing.TB, cfg *api.Config) *history.Store {
	cfg.Epoch = testEpoch
	if cfg.Webhooks != noWebhooks {
		return nil
	}
	store := must(history.Open(t.Context(), t.TempDir(), history.Options{}))(t)
	t.Cleanup(store.Close)
	cfg.Webhooks = webhook.New(webhook.Config{
		Store: store, Keys: cfg.Keys, Names: cfg.Names, Epoch: testEpoch, KeepLog: time.Hour, Version: cfg.Version,
		Reach: webhook.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	})
	return store
}

// addWebhook adds the webhook of examples.
func addWebhook(s *service) {
	var body view.WebhookRequest
	check(s.t, json.Unmarshal([]byte(firstJoin), &body))
	s.putWebhook("first-join", webhook.Settings{
		URL: body.URL, Events: body.Events, Rooms: body.Rooms, Names: body.Names, Format: webhook.Format(body.Format), Template: body.Template, Headers: body.Headers, Enabled: true,
	})
}

// addClosedWebhook adds a webhook whose receiver refuses connections.
func addClosedWebhook(s *service) {
	s.putWebhook("closed", webhook.Settings{URL: "http://127.0.0.1:9/"})
}

func (s *service) putWebhook(id string, settings webhook.Settings) {
	if _, _, err := s.webhooks.Put(s.t.Context(), testSum, id, settings, ""); err != nil {
		s.t.Fatal(err)
	}
}

// addDelivery adds a webhook for which an event waits.
func addDelivery(s *service) {
	addWebhook(s)
	room := jid.NewUnsafe("[acme]planning", "muc.meet.jitsi", "").JID
	meeting := history.MeetingID("main", room.String(), now)
	e := history.Event{
		Event: occupancy.Event{
			Seq: 41, Kind: occupancy.EventJoined, Room: room, Type: occupancy.RoomMain, Tenant: "acme", At: now, Counts: occupancy.Counts{1},
			Occupant: occupancy.Occupant{ID: "3b9d1a77", Name: "Ada", Kind: occupancy.KindUser, JoinedAt: now},
		},
		Shard: "main", Meeting: meeting, Stay: history.StayID(meeting, "3b9d1a77", now), NotBefore: now,
	}
	check(s.t, s.store.Write(s.t.Context(), func(tx *history.Tx) error {
		committed, err := s.webhooks.Append(s.t.Context(), tx, []history.Event{e})
		if err == nil {
			committed()
		}
		return err
	}))
}

// eraseDelivery adds a delivery whose body was erased.
func eraseDelivery(s *service) {
	addDelivery(s)
	meeting := history.MeetingID("main", "[acme]planning@muc.meet.jitsi", now)
	person := history.Person{Stays: []history.ID{history.StayID(meeting, "3b9d1a77", now)}}
	check(s.t, s.store.Write(s.t.Context(), func(tx *history.Tx) error {
		_, err := s.webhooks.Erase(s.t.Context(), tx, person)
		return err
	}))
}

// A person can be erased by the user id although no history is kept.
func TestWebhooks_EraseWithoutHistory(t *testing.T) {
	s := prepare(t, withWebhooks)
	s.putWebhook("all", webhook.Settings{URL: "https://example.com/", Names: true, Enabled: true})
	ask := func(query string) (n int) {
		t.Helper()
		check(t, s.store.Read(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Get(query, nil, &n)
			return err
		}))
		return n
	}
	meeting := history.MeetingID("main", "planning@muc.meet.jitsi", now)
	for _, user := range []string{"user-ada", "user-bob"} {
		e := history.Event{
			Event: occupancy.Event{
				Seq: 41, Kind: occupancy.EventJoined, Room: jid.MustParse("planning@muc.meet.jitsi"), Type: occupancy.RoomMain, At: now, Counts: occupancy.Counts{1},
				Occupant: occupancy.Occupant{ID: user, Name: "Name", UserID: user, Kind: occupancy.KindUser, JoinedAt: now},
			},
			Shard: "main", Meeting: meeting, Stay: history.StayID(meeting, user, now), NotBefore: now,
		}
		check(t, s.store.Write(t.Context(), func(tx *history.Tx) error {
			_, err := s.webhooks.Append(t.Context(), tx, []history.Event{e})
			return err
		}))
	}
	const bodies = "SELECT COUNT(*) FROM messages WHERE body <> ''"
	before := ask(bodies)
	recorder := history.NewRecorder(history.RecorderConfig{Store: s.store, Directory: healthyConnection().directory(), Outbox: s.webhooks})
	must(recorder.Erase(t.Context(), "user-ada"))(t)
	if after := ask(bodies); before < 2 || after != before/2 {
		t.Errorf("got %d bodies of %d", after, before)
	}
}

// addManyWebhooks adds as many webhooks as a key may have.
func addManyWebhooks(s *service) {
	for i := range 1000 {
		s.putWebhook(fmt.Sprint("w", i), webhook.Settings{URL: "https://example.com/"})
	}
}

// otherKey is another key with webhooks, testSum the sum of the key that requests have.
const otherKey = "ppch_OTHEROTHEROTHER"

var testSum = keys.SumOf(testKey)

// withOtherKey lets a service have otherKey, too.
func withOtherKey(cfg *api.Config) {
	withKeys("scope=all,webhooks\n" + apitest.KeyLine(otherKey, "name=other scope=all,webhooks"))(cfg)
}

// jsonBody is the header of a request with a body.
var jsonBody = http.Header{"Content-Type": {"application/json"}}

func TestWebhooks_BadRequests(t *testing.T) {
	s := start(t, withWebhooks)
	for body, want := range map[string]string{
		``:                                     "EOF",
		`[]`:                                   "cannot unmarshal array",
		`{"url":`:                              "unexpected EOF",
		`{"url":"x"} {}`:                       "unexpected data after the object",
		`{"url":1}`:                            "cannot unmarshal number",
		`{"link":"https://a/"}`:                `unknown field \"link\"`,
		`{}`:                                   `url: \"\" is not http:// or https:// with a host`,
		`{"url":"https://u:hunter2@a/"}`:       "url: contains a user or password",
		`{"url":"https://a/","format":"jaas"}`: "set names to true",
		`{"url":"https://a/","secret":"whsec_c2hvcnQ="}`:    "secret: has 5 bytes, needs 24 to 64",
		`{"url":"https://a/","events":["nothing"]}`:         `events: \"nothing\" is unknown`,
		`{"url":"https://a/","format":"text","names":true}`: "template: the format text needs one",
		`{"url":"https://a/","headers":{"X-A":"[hidden]"}}`: "headers: X-A is [hidden], which keeps the value of a header, but the webhook has none of that name: send its value",
	} {
		a := s.do(ask{method: http.MethodPost, target: "/api/webhooks", body: body, header: jsonBody})
		if a.status != http.StatusBadRequest || !strings.Contains(string(a.body), want) || strings.Contains(string(a.body), "hunter2") {
			t.Errorf("%s: got %d %s want %s", body, a.status, a.body, want)
		}
	}
	for target, want := range map[string]string{
		"GET /api/webhooks/none/deliveries?state=lost":                   `state: \"lost\" is not waiting or delivered or failed`,
		"PUT /api/webhooks/a%20b":                                        `id: \"a b\" is not 1 to 64 letters`,
		"POST /api/webhooks/none/replay":                                 "from: missing: send a day such as 2027-12-31",
		"POST /api/webhooks/none/replay?from=2026-11-23&to=2026-11-22":   "from: 2026-11-23T00:00:00Z is not before to, 2026-11-23T00:00:00Z",
		"POST /api/webhooks/none/replay?from=2026-11-22&to=2026-11-22":   "no such webhook",
		"POST /api/webhooks/none/replay?from=2026-11-22&to=in+two+weeks": `to: \"in two weeks\" is neither a day`,
	} {
		method, target, _ := strings.Cut(target, " ")
		if a := s.do(ask{method: method, target: target, body: `{"url":"https://a/"}`, header: jsonBody}); !strings.Contains(string(a.body), want) {
			t.Errorf("%s %s: got %d %s want %s", method, target, a.status, a.body, want)
		}
	}
	for _, c := range []struct {
		asked ask
		want  int
	}{
		{ask{method: http.MethodPost, target: "/api/webhooks", body: `{"url":"https://a/"}`}, 400}, // not said to be JSON
		{ask{method: http.MethodPost, target: "/api/webhooks", body: `{"url":"` + strings.Repeat("a", 70000) + `"}`, header: jsonBody}, 413},
		{ask{method: http.MethodPut, target: "/api/webhooks/a%2Fb", body: `{"url":"https://a/"}`, header: jsonBody}, 400},
		{ask{target: "/api/webhooks/none"}, 404},
		{ask{target: "/api/webhooks?every=true"}, 400},
		{ask{method: http.MethodDelete, target: "/api/webhooks/none"}, 404},
		{ask{method: http.MethodPost, target: "/api/webhooks/none/test"}, 404},
		{ask{target: "/api/webhooks/none/deliveries"}, 404},
		{ask{target: "/api/webhooks/none/deliveries?cursor=x"}, 400},
		{ask{target: "/api/webhooks/none/deliveries?limit=1000"}, 400},
		{ask{target: "/api/webhooks/none/deliveries?state=lost"}, 400},
		{ask{method: http.MethodPost, target: "/api/webhooks/none/deliveries/x/replay"}, 404},
		{ask{method: http.MethodPost, target: "/api/webhooks/none/replay?from=2026-11-22T10:00:00Z&to=2026-11-22T09:00:00Z"}, 400},
		{ask{method: http.MethodPost, target: "/api/webhooks/none/replay?from=yesterday&to=2026-11-22T09:00:00Z"}, 400},
		{ask{method: http.MethodPost, target: "/api/webhooks/none/replay"}, 400},
	} {
		if a := s.do(c.asked); a.status != c.want {
			t.Errorf("%s %.80s: got %d %s want %d", c.asked.method, c.asked.target, a.status, a.body, c.want)
		}
	}
}

// A webhook that its key allows to receive nothing.
func TestWebhooks_RefusedByTheirKey(t *testing.T) {
	s := start(t, withBoth(withKeys("scope=count,webhooks room=acme/*"), withWebhooks))
	for body, want := range map[string]string{
		`{"url":"https://a/","rooms":["planning"]}`:                   "room-not-allowed",
		`{"url":"https://a/","names":true,"format":"event_sync"}`:     "scope-missing",
		`{"url":"https://a/","rooms":["planning","acme/planning"]}`:   "",
		`{"url":"https://a/","names":true,"events":["room.*"]}`:       "",
		`{"url":"https://a/","rooms":["acme/*"],"names":true}`:        "",
		`{"url":"https://a/","rooms":["*"],"format":"cloudevents"}`:   "",
		`{"url":"https://a/","rooms":["ac*"],"format":"cloudevents"}`: "room-not-allowed",
	} {
		a := s.do(ask{method: http.MethodPost, target: "/api/webhooks", body: body, header: jsonBody})
		if want == "" && a.status != http.StatusCreated {
			t.Errorf("%s: got %d %s", body, a.status, a.body)
		}
		if want != "" {
			a.wantProblem(t, http.StatusForbidden, want)
		}
	}
}

// Each key sees and changes only its own webhooks, also those with the id of another key's.
func TestWebhooks_BelongToTheirKey(t *testing.T) {
	s := start(t, withBoth(withOtherKey, withWebhooks))
	other := http.Header{"X-Api-Key": {otherKey}, "Content-Type": {"application/json"}}
	addWebhook(s)
	if a := s.do(ask{target: "/api/webhooks", header: other}); strings.Contains(string(a.body), "first-join") {
		t.Errorf("got %s", a.body)
	}
	for _, request := range []string{
		"GET ", "DELETE ", "POST /test", "GET /deliveries", "POST /deliveries/1/replay", "POST /replay?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z",
	} {
		method, path, _ := strings.Cut(request, " ")
		if a := s.do(ask{method: method, target: aWebhook + path, header: other}); a.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s", request, a.status, a.body)
		}
	}
	if a := s.do(ask{method: http.MethodPut, target: aWebhook, body: `{"url":"https://other.example/"}`, header: other}); a.status != http.StatusCreated {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := s.get(aWebhook); !strings.Contains(string(a.body), "chat.example.com") {
		t.Errorf("got %s", a.body)
	}
}

// The operator's key finds a webhook of any key, also of one that was removed.
func TestWebhooks_ListOfAllKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(file, []byte(apitest.KeyLine(otherKey, "name=other scope=all,webhooks")), 0o600))
	s := start(t, withWebhooks, func(cfg *api.Config) { cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, File: file, Names: names}) })
	other := http.Header{"X-Api-Key": {otherKey}, "Content-Type": {"application/json"}}
	addWebhook(s)
	for id, header := range map[string]http.Header{"first-join": other, "own": jsonBody} {
		if a := s.do(ask{method: http.MethodPut, target: "/api/webhooks/" + id, body: firstJoin, header: header}); a.status != http.StatusCreated {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if _, _, err := s.webhooks.Put(t.Context(), keys.SumOf("removed"), "stays", webhook.Settings{URL: "https://removed.example.com", Enabled: true}, ""); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, hook := range s.get("/api/webhooks?all=true").object(t)["webhooks"].([]any) {
		got = append(got, fmt.Sprint(hook.(map[string]any)["id"], " ", hook.(map[string]any)["key"]))
	}
	slices.Sort(got)
	same(t, "messages", []string{"first-join PPCH_API_KEY", "first-join other", "own PPCH_API_KEY", "stays <nil>"}, got)
	s.do(ask{target: "/api/webhooks?all=true", header: other}).wantProblem(t, http.StatusForbidden, "scope-missing")
	s.get("/api/webhooks?all=yes").wantProblem(t, http.StatusBadRequest, "bad-parameter")
}

// A script may repeat its PUT. What it doesn't send again, the secret and hidden headers, stays.
func TestWebhooks_PutIsIdempotent(t *testing.T) {
	s := start(t, withWebhooks)
	put := func(body string) map[string]any {
		a := s.do(ask{method: http.MethodPut, target: aWebhook, body: body, header: jsonBody})
		var doc map[string]any
		if err := json.Unmarshal(a.body, &doc); err != nil || a.status > 201 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		return doc
	}
	if put(firstJoin)["secret"] == nil {
		t.Error("the first answer has no secret")
	}
	again := put(strings.Replace(firstJoin, `"Authorization":"Bearer t0ken"`, `"authorization":"[hidden]"`, 1))
	if again["secret"] != nil || again["previous_secret_until"] != nil {
		t.Errorf("got %v", again)
	}
	stored, err := s.webhooks.Get(t.Context(), testSum, "first-join")
	if err != nil || stored.Headers["authorization"] != "Bearer t0ken" {
		t.Errorf("got %+v, %v", stored, err)
	}
	rotated := put(strings.Replace(firstJoin, `"names"`, `"secret":"`+webhook.NewSecret()+`","names"`, 1))
	if rotated["secret"] != nil || rotated["previous_secret_until"] == nil {
		t.Errorf("got %v", rotated)
	}
	if a := s.do(ask{method: http.MethodDelete, target: aWebhook}); a.status != http.StatusNoContent {
		t.Errorf("got %d", a.status)
	}
	if a := s.get(aWebhook); a.status != http.StatusNotFound {
		t.Errorf("got %d", a.status)
	}
}

func TestPosition_AtLeast(t *testing.T) {
	s := prepare(t, withRooms(occupied))
	s.WaitForPositions(50 * time.Millisecond)
	s.run()
	for position, want := range map[string]int{
		"main:" + testEpoch + ":0":            200,
		"main:20250101T000000Z-aaaaaa:999999": 200, // of an epoch that is over
		"main:" + testEpoch + ":999999":       504,
		"main:20991122T080000Z-k3x7aq:1":      200, // Prosody is asked after that
		"other:" + testEpoch + ":1":           400,
		"main:" + testEpoch + ":-1":           400,
		"main:" + testEpoch:                   400,
		"main:now:1":                          400,
		"":                                    400,
	} {
		for _, path := range []string{"/api/rooms/MyRoom", "/api/rooms/MyRoom/participants", "/api/rooms?name=MyRoom"} {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			if a := s.get(path + sep + "at_least=" + position); a.status != want {
				t.Errorf("%s at %q: got %d %s want %d", path, position, a.status, a.body, want)
			}
		}
	}
	if a := s.get("/api/rooms/MyRoom?at_least=main:" + testEpoch + ":0&wiat=1s"); a.status != http.StatusBadRequest {
		t.Errorf("another parameter that is misspelt: got %d", a.status)
	}
}
