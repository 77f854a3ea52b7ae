package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ppch/api"
	"ppch/api/apitest"
)

// withNamedRooms serves rooms with difficult names.
func withNamedRooms() func(*api.Config) {
	d := apitest.NewDirectory(panicker{}, mainDomain, secondDomain)
	for _, room := range []string{"[täst]daily", "[te+nant]daily", "[acme]stand%20up", "c", "c%2b%2b", "a%3eb", "a!(b)*", "привет", "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"} {
		d.Change(apitest.Room(room+"@muc.meet.jitsi", 0))
	}
	for _, room := range []string{"c%2b%2b", "[täst]daily"} {
		d.Change(apitest.Room(room+"@conference.b.example", 0))
	}
	return withDirectory(d.Directory)
}

// list returns the names of the listed rooms.
func (s *service) list(t *testing.T, query url.Values) (names []string) {
	t.Helper()
	query.Set("type", "all")
	for _, room := range s.get("/api/rooms?" + query.Encode()).object(t)["rooms"].([]any) {
		names = append(names, room.(map[string]any)["room_name"].(string))
	}
	slices.Sort(names)
	return names
}

// It requests each listed room by its name and its JID: alone, in detail, in a batch, and its events.
func TestNames_ListedRoomIsReadByEveryRequest(t *testing.T) {
	s := start(t, withNamedRooms())
	rooms := s.get("/api/rooms?type=all").object(t)["rooms"].([]any)
	if len(rooms) != 11 {
		t.Fatalf("got %d rooms", len(rooms))
	}
	for _, r := range rooms {
		want := r.(map[string]any)["room_jid"].(string)
		for _, field := range []string{"room_name", "room_jid"} {
			name := r.(map[string]any)[field].(string)
			path := "/api/rooms/" + url.PathEscape(name)
			for _, target := range []string{path, path + "/participants"} {
				if got := s.get(target).object(t)["room_jid"]; got != want {
					t.Errorf("%s: got %v want %s", target, got, want)
				}
			}
			batch := s.get("/api/rooms?name=" + url.QueryEscape(name)).object(t)["rooms"].([]any)
			if got := batch[0].(map[string]any)["room_jid"]; got != want {
				t.Errorf("in a batch %s: got %v want %s", name, got, want)
			}
			events := s.do(ask{target: path + "/events?snapshot=true", events: 2})
			if events.status != http.StatusOK || !strings.Contains(string(events.body), `"room_jid":"`+want+`"`) {
				t.Errorf("events of %s: got %d %s", name, events.status, events.body)
			}
		}
	}
}

func TestNames_ListsAreFilteredAsPeopleWrite(t *testing.T) {
	s := start(t, withNamedRooms())
	for _, c := range []struct {
		field, value string
		want         []string
	}{
		{"tenant", "täst", []string{"[täst]daily", "[täst]daily@conference.b.example"}},
		{"tenant", "TÄST", []string{"[täst]daily", "[täst]daily@conference.b.example"}},
		{"tenant", "t%C3%A4st", []string{"[täst]daily", "[täst]daily@conference.b.example"}},
		{"tenant", "te+nant", []string{"[te+nant]daily"}},
		{"tenant", "nowhere", nil},
		{"q", "c++", []string{"c%2b%2b", "c%2b%2b@conference.b.example"}},
		{"q", "c%2B%2B", []string{"c%2b%2b", "c%2b%2b@conference.b.example"}},
		{"q", "acme/Stand", []string{"[acme]stand%20up"}},
		{"q", "[acme]stand up", []string{"[acme]stand%20up"}},
		{"q", "ПРИВЕТ", []string{"%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82", "привет@muc.meet.jitsi"}},
		{"q", "привет@muc.meet.jitsi", []string{"привет@muc.meet.jitsi"}},
	} {
		if got := s.list(t, url.Values{c.field: {c.value}}); !slices.Equal(got, c.want) {
			t.Errorf("%s=%s: got %q want %q", c.field, c.value, got, c.want)
		}
	}
}

// Every response to a request with a name has the note.
func TestNames_NoteSaysHowANameWasRead(t *testing.T) {
	s := start(t, withNamedRooms())
	const typed = "Jitsi deletes + from a typed name, so this is the room c. The link C%2B%2B leads to another room."
	for name, want := range map[string]any{
		"C++": typed, "C%2B%2B": nil, "Привет": nil, "привет@muc.meet.jitsi": nil,
		"café@muc.meet.jitsi": "Jitsi's clients create no room with this JID: their room of this name is caf%c3%a9@muc.meet.jitsi.",
	} {
		for _, target := range []string{"/api/rooms/" + url.PathEscape(name), "/api/rooms/" + url.PathEscape(name) + "/participants"} {
			if got := s.get(target).object(t)["name_note"]; got != want {
				t.Errorf("%s: got %v want %v", target, got, want)
			}
		}
	}
	batch := s.get("/api/rooms?name=c&name=C%2B%2B&name=c%252b%252b").object(t)["rooms"].([]any)
	if len(batch) != 2 || batch[0].(map[string]any)["name_note"] != typed || batch[1].(map[string]any)["name_note"] != nil {
		t.Errorf("got the batch %v want the note at the first room", batch)
	}
}
