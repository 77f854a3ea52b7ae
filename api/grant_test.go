package api_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestScope_EachOperation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scopes string
		counts bool
		names  bool
	}{
		{"count", true, false},
		{"participants", true, true},
		{"events", false, false},
		{"metrics", false, false},
		{"all", true, true},
		{"events,metrics", false, false},
		{"events,count", true, false},
		{"count,participants", true, true},
	} {
		t.Run(c.scopes, func(t *testing.T) {
			s := start(t, withRooms(occupied), withKeys("scope="+c.scopes))
			got := s.get("/api/rooms/r/participants")
			if !c.counts {
				problem := got.wantProblem(t, 403, "scope-missing")
				if want := `This API key lacks the scope "count".`; problem["detail"] != want {
					t.Errorf("got %v want %s", problem["detail"], want)
				}
				return
			}
			doc := got.object(t)
			people, _ := doc["participants"].([]any)
			if doc["participant_count"] != 3.0 || doc["has_participants"] != true || (len(people) == 3) != c.names || (doc["occupants"] != nil) != c.names {
				t.Errorf("got %s want 3 people, with names: %t", got.body, c.names)
			}
		})
	}
}

// personal are the personal data and free texts in occupied and several.
var personal = []string{
	"Ada", "Grace", "Alan", "Edsger", "Lovelace", "staff", "8a7c1f02", "3b9d1a77", "c0ffee00", "5e0c77aa", "99f00d11",
	"7946", "a17c", "PcVx", "https://example.com", "Group 1", "Group 2", "Planning",
}

// It tries every request of the other tests, including those that fail, and some more.
func TestScope_CountSeesNoNames(t *testing.T) {
	t.Parallel()
	asked := slices.Clone(statuses)
	for _, target := range []string{
		"/api/rooms", "/api/rooms?expand=occupants", "/api/rooms?type=all&expand=occupants", "/api/rooms?type=breakout", "/api/rooms?q=Ada",
		"/api/rooms?name=acme/planning&name=standup&expand=occupants", "/api/rooms?sort=participants&limit=1",
		"/api/rooms/acme%2Fplanning", "/api/rooms/acme%2Fplanning/participants", "/api/rooms/7d1f@breakout.meet.jitsi", "/api/stats", "/api/stats/history",
	} {
		c := asked[0]
		c.given, c.asked = withPast(several()), ask{target: target}
		asked = append(asked, c)
	}
	seen := map[string]bool{}
	for _, c := range asked {
		given := c.given
		if given == nil {
			given = withRooms(occupied)
		}
		if c.path == "/openapi.json" || c.path == "/docs/{asset}" {
			continue // they contain examples and programs
		}
		all := start(t, withKeys("scope=all"), given).do(c.asked)
		few := start(t, withKeys("scope=count,events,metrics"), given).do(c.asked)
		if few.status != all.status {
			t.Errorf("%s: got %d, and %d with another key", c.asked.target, few.status, all.status)
		}
		for _, word := range personal {
			seen[word] = seen[word] || strings.Contains(string(all.body), word)
			if strings.Contains(string(few.body), word) {
				t.Errorf("%s: got %q in %d %s", c.asked.target, word, few.status, few.body)
			}
		}
	}
	for _, word := range personal {
		if hidden := []string{"a17c", "PcVx"}; !seen[word] && !slices.Contains(hidden, word) {
			t.Errorf("another key got no %q either, so this test proves nothing about it", word)
		}
	}
}

func TestGrant_LimitsLists(t *testing.T) {
	s := start(t, withPast(several()), withKeys("scope=all room=acme/*"))
	for target, want := range map[string]string{
		"/api/rooms":                           "[acme]planning",
		"/api/rooms?sort=participants&limit=1": "[acme]planning",
		"/api/rooms?sort=created&order=asc":    "[acme]planning",
		"/api/rooms?q=standup":                 "",
		"/api/rooms?type=all":                  "[acme]planning",
		"/api/rooms?type=breakout":             "",
		"/api/rooms?name=acme/planning":        "acme/planning",
		"/api/rooms?name=acme/nowhere":         "acme/nowhere",
	} {
		got := s.get(target)
		var names []string
		list, _ := got.object(t)["rooms"].([]any)
		for _, room := range list {
			names = append(names, room.(map[string]any)["room_name"].(string))
		}
		if strings.Join(names, " ") != want || got.object(t)["next_cursor"] != nil {
			t.Errorf("%s: got %q and the cursor %v want %q and none", target, names, got.object(t)["next_cursor"], want)
		}
	}
	detail := s.get("/api/rooms?name=acme/planning&name=standup").wantProblem(t, 403, "room-not-allowed")["detail"]
	if want := `"standup": This API key is limited to other rooms.`; detail != want {
		t.Errorf("got %v want %s", detail, want)
	}
	s.get("/api/rooms/standup").wantProblem(t, 403, "room-not-allowed")
	s.get("/api/stats").wantProblem(t, 403, "room-not-allowed")
	s.get("/api/stats/history").wantProblem(t, 403, "room-not-allowed")
}

func TestGrant_LimitsRooms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rooms, sees, not string }{
		{"Planning", "planning PLANNING planning@muc.meet.jitsi", "planning2 plannin acme%2Fplanning planning@breakout.meet.jitsi"},
		{"stand-up*", "stand-up Stand-Up2 stand-ups", "stand-u astand-up acme%2Fstand-up stand-up@breakout.meet.jitsi"},
		{"acme/*", "acme%2Fplanning %5BAcme%5Dplanning planning@muc.acme.meet.jitsi", "acme planning acmex%2Fplanning a c m e"},
		{"[acme]*", "acme%2Fplanning", "acme a cat emu acmex%2Fplanning"},
		{"acme/Stand*", "acme%2Fstandup acme%2FSTAND", "acme%2Fsta standup other%2Fstandup"},
		{"ACME/standup", "acme%2Fstandup", "acme%2Fstandup2"},
		{"*", "planning acme%2Fplanning x", "planning@breakout.meet.jitsi"},
		{"*@breakout.meet.jitsi", "7d1f@breakout.meet.jitsi", "7d1f planning"},
		{"7d*@breakout.meet.jitsi,Planning", "7d1f@breakout.meet.jitsi planning", "7d1f 0c2e@breakout.meet.jitsi"},
		{"Café", "caf%C3%A9 CAF%C3%89 cafe%CC%81", "cafe caf"},
		{"caf*", "cafe caf%C3%A9", "ca"},
		{"cafe*", "cafe cafeteria", "caf%C3%A9 cafe%CC%81"},
		{"our%20weekly%20call", "Our%20Weekly%20Call", "our"},
		{"50%*", "50%25 50%25off", "50 500"},
		{"a%2*", "a%252", "a%252b a%2Bb a"},
		{"x", "x X", "xx"},
		{"x*", "x xx", "y"},
	} {
		t.Run(c.rooms, func(t *testing.T) {
			asked := 0
			s := start(t, withKeys("scope=all room="+c.rooms), withRooms(func(ctx context.Context, room jid.JID) (occupancy.Room, error) {
				asked++
				return occupied(ctx, room)
			}))
			for room := range strings.FieldsSeq(c.sees) {
				if got := s.get("/api/rooms/" + room + "/participants"); got.status != 200 {
					t.Errorf("%s: got %d %s want 200", room, got.status, got.body)
				}
			}
			before := asked
			for room := range strings.FieldsSeq(c.not) {
				s.get("/api/rooms/"+room+"/participants").wantProblem(t, 403, "room-not-allowed")
			}
			if asked != before {
				t.Error("the service looked up a room that the key does not allow: the response time would reveal whether it exists")
			}
		})
	}
}

func TestGrant_ImpossibleRoomIsABadName(t *testing.T) {
	s := start(t, withKeys("scope=all room=planning"))
	s.get("/api/rooms/"+url.PathEscape("[")+"/participants").wantProblem(t, 400, "bad-room-name")
	s.get("/api/rooms/planning@example.com/participants").wantProblem(t, 400, "domain-not-watched")
}

func TestKey_Expires(t *testing.T) {
	end := time.Now().Add(time.Second)
	s := start(t, withKeys("scope=all expires="+end.UTC().Format(time.RFC3339Nano)))
	if got := s.get("/api/rooms/r/participants"); got.status != 200 && time.Now().Before(end) {
		t.Errorf("got %d want 200 before the end", got.status)
	}
	time.Sleep(time.Until(end))
	s.get("/api/rooms/r/participants").wantProblem(t, 403, "key-expired")

	today := time.Now().UTC().Format(time.DateOnly)
	if got := start(t, withKeys("scope=all expires="+today)).get("/api/rooms/r/participants"); got.status != 200 && today == time.Now().UTC().Format(time.DateOnly) {
		t.Errorf("got %d want the key to be valid on its last day", got.status)
	}
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	start(t, withKeys("scope=all expires="+yesterday)).get("/api/rooms/r/participants").wantProblem(t, 403, "key-expired")
}

func TestLog_NamesTheKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields string
		asked  ask
		want   any
	}{
		{"a valid key", "scope=all", ask{target: "/api/rooms/r/participants"}, "client"},
		{"a key without the scope", "scope=metrics", ask{target: "/api/rooms/r/participants"}, "client"},
		{"an expired key", "scope=all expires=2020-01-01", ask{target: "/api/rooms/r/participants"}, "client"},
		{"an unknown key", "scope=all", ask{target: "/api/rooms/r/participants", header: http.Header{"X-Api-Key": {"guess"}}}, nil},
		{"a public path", "scope=all", ask{target: "/health"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, withKeys(c.fields), withDebugLog)
			s.do(c.asked)
			if got := s.log.records(t, 1)[0]["key"]; got != c.want {
				t.Errorf("got the key %v want %v", got, c.want)
			}
		})
	}
	s := start(t, withDebugLog)
	s.get("/api/rooms/r/participants")
	if got := s.log.records(t, 1)[0]["key"]; got != "PPCH_API_KEY" {
		t.Errorf("got the key %v want PPCH_API_KEY", got)
	}
}
