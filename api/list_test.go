package api_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// names returns the room_name of each room of a list.
func (a answer) names(t *testing.T) []string {
	t.Helper()
	names := []string{}
	for _, room := range a.object(t)["rooms"].([]any) {
		names = append(names, room.(map[string]any)["room_name"].(string))
	}
	return names
}

func TestList_FiltersAndSorts(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"alpha": 3, "beta": 1, "[acme]gamma": 0, "[acme]delta": 2, "caf%c3%a9": 1})
	s := start(t, withDirectory(d.Directory))
	for _, c := range []struct {
		name  string
		query string
		want  []string
	}{
		{"all by name", "", []string{"[acme]delta", "[acme]gamma", "alpha", "beta", "caf%c3%a9"}},
		{"by name, backwards", "?order=desc", []string{"caf%c3%a9", "beta", "alpha", "[acme]gamma", "[acme]delta"}},
		{"most people first", "?sort=participants", []string{"alpha", "[acme]delta", "beta", "caf%c3%a9", "[acme]gamma"}},
		{"fewest people first", "?sort=participants&order=asc", []string{"[acme]gamma", "caf%c3%a9", "beta", "[acme]delta", "alpha"}},
		{"rooms of a tenant", "?tenant=Acme", []string{"[acme]delta", "[acme]gamma"}},
		{"rooms without a tenant", "?tenant=", []string{"alpha", "beta", "caf%c3%a9"}},
		{"rooms with people", "?min_participants=2", []string{"[acme]delta", "alpha"}},
		{"by a part of the name", "?q=TA", []string{"[acme]delta", "beta"}},
		{"by a part of the name as people write it", "?q=f%C3%A9", []string{"caf%c3%a9"}},
		{"all filters at once", "?q=a&tenant=acme&min_participants=1&type=main&sort=created&limit=5", []string{"[acme]delta"}},
		{"none is left", "?q=nowhere", []string{}},
		{"no lobby", "?type=lobby", []string{}},
		{"every type", "?type=all&limit=2", []string{"[acme]delta", "[acme]gamma"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			same(t, "names", c.want, s.get("/api/rooms"+c.query).names(t))
		})
	}
}

func TestList_NamesFindTheirRooms(t *testing.T) {
	s := start(t, withPast(several()))
	for _, room := range s.get("/api/rooms?type=all&expand=occupants").object(t)["rooms"].([]any) {
		room := room.(map[string]any)
		name := room["room_name"].(string)
		for _, target := range []string{"/api/rooms/" + url.PathEscape(name) + "/participants", "/api/rooms?expand=occupants&name=" + url.QueryEscape(name)} {
			got := s.get(target).object(t)
			if list, ok := got["rooms"].([]any); ok {
				got = list[0].(map[string]any)
			}
			if got["room_jid"] != room["room_jid"] || got["room_name"] != name || !cmp.Equal(got["occupants"], room["occupants"]) {
				t.Errorf("%s: got %v, want %v", target, got, room)
			}
		}
	}
}

func TestList_PagesLinkToTheNext(t *testing.T) {
	s := start(t, withDirectory(apitest.NewMeetings(t, map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}).Directory))
	for _, sort := range []string{"name", "participants", "created"} {
		var byCursor, byLink []string
		for target := "/api/rooms?limit=2&min_participants=2&sort=" + sort; target != ""; {
			got := s.get(target)
			byCursor = append(byCursor, got.names(t)...)
			next, _ := got.object(t)["next_cursor"].(string)
			target = ""
			if next != "" {
				target = "/api/rooms?limit=2&min_participants=2&sort=" + sort + "&cursor=" + next
			}
		}
		base, _ := url.Parse("/api/rooms?limit=2&min_participants=2&sort=" + sort)
		for at := base; at != nil; {
			got := s.get(at.String())
			byLink = append(byLink, got.names(t)...)
			link := got.header.Get("Link")
			at = nil
			if ref, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
				at, _ = base.Parse(ref[1:])
			} else if link != "" {
				t.Fatalf("got Link %q", link)
			}
		}
		want := []string{"b", "c", "d", "e"}
		if sort == "participants" {
			slices.Reverse(want)
		}
		if !slices.Equal(byCursor, want) || !slices.Equal(byLink, want) {
			t.Errorf("%s: got %q by cursor and %q by link, want %q", sort, byCursor, byLink, want)
		}
	}
}

func TestList_RejectsBadParameters(t *testing.T) {
	const noCursor = "The cursor was not issued by this service: send next_cursor of the previous page unchanged, or start with the first page."
	s := start(t, withPast(several()))
	cursor := s.get("/api/rooms?limit=1").object(t)["next_cursor"].(string)
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"Sort":{"By":0},"Position":{"Key":0,"Address":"a@muc.meet.jitsi"}}`))
	for _, c := range []struct{ query, want string }{
		{"limit=many", `limit: "many" is not a whole number from 1 to 1000`},
		{"limit=0", `limit: "0" is not a whole number from 1 to 1000`},
		{"limit=1001", `limit: "1001" is not a whole number from 1 to 1000`},
		{"limit=", `limit: "" is not a whole number from 1 to 1000`},
		{"limit=1&limit=2", `limit: given 2 times, want one value`},
		{"limit=" + strings.Repeat("9", 300), `limit: "9999999999999999999999999999999999999999…" is not a whole number from 1 to 1000`},
		{"min_participants=-1", `min_participants: "-1" is not a whole number from 0 to 1073741824`},
		{"sort=size", `sort: "size" is not name or participants or created`},
		{"order=up", `order: "up" is not asc or desc`},
		{"sort=created&order=up", `order: "up" is not desc or asc`},
		{"type=meeting", `type: "meeting" is not main or breakout or lobby or all`},
		{"expand=names", `expand: "names" is not occupants`},
		{"Limit=1", `unknown parameter "Limit": use type, tenant, min_participants, q, sort, order, limit, cursor, expand, shard`},
		{"name=a&limit=1", `unknown parameter "limit": use name, expand, shard`},
		{"name=" + strings.Repeat("a&name=", 100), `name: 101 names exceed the maximum of 100`},
		{"cursor=%ff", noCursor},
		{"cursor=bm9uZQ", noCursor},
		{"cursor=" + forged, noCursor},
		{"cursor=" + cursor[:len(cursor)-1], noCursor},
		{"cursor=" + cursor + "&sort=created", "The cursor belongs to a list with another order: send sort and order as for the first page."},
		{"cursor=" + cursor + "&order=desc", "The cursor belongs to a list with another order: send sort and order as for the first page."},
	} {
		got := s.get("/api/rooms?"+c.query).wantProblem(t, http.StatusBadRequest, "bad-parameter")
		if got["detail"] != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.query, got["detail"], c.want)
		}
	}
	for query, code := range map[string]string{
		"q=%zz": "bad-parameter", "q=a;b": "bad-parameter",
		"name=a%5Bb": "bad-room-name", "name=": "bad-room-name", "name=a@example.com": "domain-not-watched",
	} {
		s.get("/api/rooms?"+query).wantProblem(t, http.StatusBadRequest, code)
	}
	unwatched := start(t, withPast(func() *occupancy.Directory { return occupancy.NewDirectory(mainDomain) }()))
	unwatched.get("/api/rooms?type=lobby").wantProblem(t, http.StatusBadRequest, "domain-not-watched")
}

func TestList_ByNameKeepsRequestedNames(t *testing.T) {
	s := start(t, withPast(several()))
	got := s.get("/api/rooms?name=StandUp&name=acme/Planning&name=nowhere&name=7d1f@breakout.meet.jitsi")
	same(t, "names", []string{"StandUp", "acme/Planning", "nowhere", "7d1f@breakout.meet.jitsi"}, got.names(t))
	var counts []any
	for _, room := range got.object(t)["rooms"].([]any) {
		counts = append(counts, room.(map[string]any)["exists"], room.(map[string]any)["participant_count"])
	}
	same(t, "counts", []any{true, 1.0, true, 2.0, false, 0.0, true, 1.0}, counts)
}

func TestList_UnavailableIsNotEmpty(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"a": 1})
	d.Forget(lobbyDomain)
	s := start(t, withDirectory(d.Directory))
	if got := s.get("/api/rooms").names(t); len(got) != 1 {
		t.Errorf("got %q although meetings exist", got)
	}
	for _, target := range []string{"/api/rooms?type=all", "/api/rooms?type=lobby", "/api/stats"} {
		s.get(target).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	}
}

func TestList_ConcurrentReadersGetNoOldData(t *testing.T) {
	v := apitest.NewMeetings(t, map[string]int{"alpha": 3, "beta": 1})
	s := start(t, withDirectory(v.Directory))
	for people := range 4 {
		v.SetPeople("alpha", people)
		for range 3 {
			for _, target := range []string{"/api/rooms", "/api/rooms?name=alpha&name=beta"} {
				room := s.get(target).object(t)["rooms"].([]any)[0].(map[string]any)
				if got := room["participant_count"]; got != float64(people) {
					t.Fatalf("%s: got %v want %d", target, got, people)
				}
			}
		}
	}
	for range 3 {
		s.get("/api/rooms")
	}
	v.Forget(mainDomain)
	if got := s.get("/api/rooms"); got.status != http.StatusServiceUnavailable {
		t.Errorf("a list of unavailable rooms: got %d", got.status)
	}
}

func TestList_DependsOnTheGrant(t *testing.T) {
	const other = "another-key-of-a-client"
	v := apitest.NewMeetings(t, map[string]int{"alpha": 3, "beta": 1})
	s := start(t, withBoth(withDirectory(v.Directory), withKeys("scope=all\n"+apitest.KeyLine(other, "name=one scope=all room=beta"))))
	for range 3 {
		for key, want := range map[string][]string{testKey: {"alpha", "beta"}, other: {"beta"}} {
			got := s.do(ask{target: "/api/rooms", header: http.Header{"X-API-Key": {key}}}).names(t)
			same(t, "rooms", want, got)
		}
	}
}
