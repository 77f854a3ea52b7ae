package api_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// village is a Directory that a test changes: rooms by node, and how many people are in each.
type village struct {
	*occupancy.Directory
	t     testing.TB
	rooms map[string]int
	total int
}

func newVillage(t testing.TB, rooms map[string]int) *village {
	v := &village{Directory: occupancy.NewDirectory(mainDomain, breakoutDomain, lobbyDomain), t: t, rooms: map[string]int{}}
	for _, d := range v.Domains() {
		v.Begin(d.JID, occupancy.SystemAccounts{})
		if err := v.Apply(d.JID, occupancy.Batch{Synced: true}, now); err != nil {
			t.Fatal(err)
		}
	}
	for node, people := range rooms {
		v.set(node, people)
	}
	return v
}

// set has so many people in a room; none at all when that is below zero, and no room either.
func (v *village) set(node string, people int) {
	v.t.Helper()
	delta := occupancy.Delta{Room: node + "@muc.meet.jitsi", New: true, Gone: people < 0}
	v.total -= v.rooms[node]
	delete(v.rooms, node)
	if people >= 0 {
		v.rooms[node] = people
		v.total += people
		delta.Facts = &occupancy.RoomFacts{CreatedAt: now.Add(-1 * 60e9)}
	}
	for i := range people {
		delta.Present = append(delta.Present, occupancy.Occupant{ID: fmt.Sprintf("%08x", i), Name: "Ada", RealJID: "x@meet.jitsi/x", JoinedAt: now})
	}
	batch := occupancy.Batch{Synced: true, Rooms: len(v.rooms), Occupants: v.total, Deltas: []occupancy.Delta{delta}}
	if err := v.Apply(mainDomain, batch, now); err != nil {
		v.t.Fatal(err)
	}
}

func TestList_FiltersAndSorts(t *testing.T) {
	d := newVillage(t, map[string]int{"alpha": 3, "beta": 1, "[acme]gamma": 0, "[acme]delta": 2, "caf%c3%a9": 1})
	s := start(t, told(d.Directory))
	for _, c := range []struct {
		name  string
		query string
		want  []string
	}{
		{"all by name", "", []string{"[acme]delta", "[acme]gamma", "alpha", "beta", "caf%c3%a9"}},
		{"by name, backwards", "?order=desc", []string{"caf%c3%a9", "beta", "alpha", "[acme]gamma", "[acme]delta"}},
		{"most people first", "?sort=participants", []string{"alpha", "[acme]delta", "beta", "caf%c3%a9", "[acme]gamma"}},
		{"fewest people first", "?sort=participants&order=asc", []string{"[acme]gamma", "caf%c3%a9", "beta", "[acme]delta", "alpha"}},
		{"those of a tenant", "?tenant=Acme", []string{"[acme]delta", "[acme]gamma"}},
		{"those of no tenant", "?tenant=", []string{"alpha", "beta", "caf%c3%a9"}},
		{"those with people", "?min_participants=2", []string{"[acme]delta", "alpha"}},
		{"by a part of the name", "?q=TA", []string{"[acme]delta", "beta"}},
		{"by a part of the name as people write it", "?q=f%C3%A9", []string{"caf%c3%a9"}},
		{"all filters at once", "?q=a&tenant=acme&min_participants=1&type=main&sort=created&limit=5", []string{"[acme]delta"}},
		{"none is left", "?q=nowhere", []string{}},
		{"no lobby", "?type=lobby", []string{}},
		{"every type", "?type=all&limit=2", []string{"[acme]delta", "[acme]gamma"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, s.get("/api/rooms"+c.query).names(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestList_NamesFindTheirRooms(t *testing.T) {
	s := start(t, told(several()))
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
	s := start(t, told(newVillage(t, map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}).Directory))
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

func TestList_WalkSeesEveryLastingRoomOnce(t *testing.T) {
	for _, sort := range []string{"name", "participants", "created"} {
		d := newVillage(t, nil)
		for i := range 60 {
			d.set(fmt.Sprintf("stays%d", i), i%9)
		}
		s := start(t, told(d.Directory))
		told := map[string]int{}
		random := rand.New(rand.NewPCG(3, 4))
		for cursor := ""; ; {
			got := s.get("/api/rooms?limit=7&sort=" + sort + "&cursor=" + cursor)
			for _, name := range got.names(t) {
				told[name]++
			}
			var more bool
			if cursor, more = got.object(t)["next_cursor"].(string); !more {
				break
			}
			for i := range 20 {
				if sort != "participants" { // in whose order a room whose number changes may pass the cursor
					d.set(fmt.Sprintf("stays%d", random.IntN(60)), random.IntN(9))
				}
				d.set(fmt.Sprintf("moves%d", i), random.IntN(3)-1)
			}
		}
		for i := range 60 {
			if n := told[fmt.Sprintf("stays%d", i)]; n != 1 {
				t.Errorf("by %s: stays%d was told %d times", sort, i, n)
			}
		}
	}
}

func TestList_RejectsBadParameters(t *testing.T) {
	const noCursor = "The cursor was not issued by this service: send next_cursor of the previous page unchanged, or start with the first page."
	s := start(t, told(several()))
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
		{"Limit=1", `unknown parameter "Limit": use type, tenant, min_participants, q, sort, order, limit, cursor, expand`},
		{"name=a&limit=1", `unknown parameter "limit": use name, expand`},
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
	unwatched := start(t, told(func() *occupancy.Directory { return occupancy.NewDirectory(mainDomain) }()))
	unwatched.get("/api/rooms?type=lobby").wantProblem(t, http.StatusBadRequest, "domain-not-watched")
}

func TestList_ByNameKeepsRequestedNames(t *testing.T) {
	s := start(t, told(several()))
	got := s.get("/api/rooms?name=StandUp&name=acme/Planning&name=nowhere&name=7d1f@breakout.meet.jitsi")
	if diff := cmp.Diff([]string{"StandUp", "acme/Planning", "nowhere", "7d1f@breakout.meet.jitsi"}, got.names(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var counts []any
	for _, room := range got.object(t)["rooms"].([]any) {
		counts = append(counts, room.(map[string]any)["exists"], room.(map[string]any)["participant_count"])
	}
	if diff := cmp.Diff([]any{true, 1.0, true, 2.0, false, 0.0, true, 1.0}, counts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestList_UnavailableIsNotEmpty(t *testing.T) {
	d := newVillage(t, map[string]int{"a": 1})
	d.Forget(lobbyDomain)
	s := start(t, told(d.Directory))
	if got := s.get("/api/rooms").names(t); len(got) != 1 {
		t.Errorf("got %q although meetings are known", got)
	}
	for _, target := range []string{"/api/rooms?type=all", "/api/rooms?type=lobby", "/api/stats"} {
		s.get(target).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	}
}

func TestList_ConcurrentReadersGetNoOldData(t *testing.T) {
	v := newVillage(t, map[string]int{"alpha": 3, "beta": 1})
	s := start(t, told(v.Directory))
	for people := range 4 {
		v.set("alpha", people)
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
		t.Errorf("a list of what isn't known: got %d", got.status)
	}
}

func TestList_DependsOnTheGrant(t *testing.T) {
	const other = "another-key-of-somebody"
	v := newVillage(t, map[string]int{"alpha": 3, "beta": 1})
	s := start(t, both(told(v.Directory), keyed("scope=all\n"+lineFor(other, "name=one scope=all room=beta"))))
	for range 3 {
		for key, want := range map[string][]string{testKey: {"alpha", "beta"}, other: {"beta"}} {
			got := s.do(ask{target: "/api/rooms", header: http.Header{"X-API-Key": {key}}}).names(t)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	}
}
