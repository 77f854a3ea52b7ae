package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// hostileCrowd returns a directory with rooms of that many people, whose names are 1,024 times "<".
func hostileCrowd(t testing.TB, rooms, people int) *apitest.Directory {
	d := apitest.NewDirectory(t)
	var deltas []occupancy.Delta
	for i := range rooms {
		delta := occupancy.Delta{Room: fmt.Sprintf("room%03d@muc.meet.jitsi", i)}
		for j := range people {
			o := apitest.Person(fmt.Sprintf("p%06d", j))
			o.Name = strings.Repeat("<", 1024)
			delta.Present = append(delta.Present, o)
		}
		deltas = append(deltas, delta)
	}
	d.Change(deltas...)
	return d
}

// leaveUnread sends a request on its own connection, and reads only the first byte of the response.
func (s *service) leaveUnread(target string) *net.TCPConn {
	s.t.Helper()
	conn := s.dial()
	must(fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: ppch\r\nX-API-Key: %s\r\n\r\n", target, testKey))(s.t)
	must(io.ReadFull(conn, make([]byte, 1)))(s.t)
	return conn
}

// heap returns the bytes of memory in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestAnswers_UnreadTakeLittleMemory(t *testing.T) {
	spellings := "&name=" + strings.Repeat("room000&name=", 49) + "ROOM000"
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("room%03d", i))
	}
	for _, c := range []struct {
		name, target  string
		rooms, people int
	}{
		{"one room", "/api/rooms/room000/participants", 1, 2000},
		{"one room in detail", "/api/rooms/room000", 1, 2000},
		{"one room by many names", "/api/rooms?expand=occupants" + spellings, 1, 100},
		{"many rooms by name", "/api/rooms?expand=occupants&" + url.Values{"name": all}.Encode(), 40, 50},
		{"a page", "/api/rooms?expand=occupants", 40, 50},
		{"the snapshot of a room", "/api/rooms/room000/events?snapshot=true", 1, 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := hostileCrowd(t, c.rooms, c.people)
			s := prepare(t, withDirectory(d.Directory))
			s.Tight()
			s.run()
			before := heap()
			for i := range 20 {
				s.leaveUnread(c.target)
				o := apitest.Person("p000000")
				o.Name = fmt.Sprint(i) // so that all responses differ
				d.Change(occupancy.Delta{Room: "room000@muc.meet.jitsi", Present: []occupancy.Occupant{o}})
			}
			time.Sleep(200 * time.Millisecond) // until each waits
			grown := (heap() - before) >> 20
			t.Logf("20 unread responses take %d MiB of memory", grown)
			if grown > 16 {
				t.Error("want 16 MiB at most")
			}
		})
	}
}

// Unread responses don't affect other clients: they get whole rooms of any size.
func TestAnswers_LargeOnesAreWhole(t *testing.T) {
	const people = 700
	d := hostileCrowd(t, 3, people)
	s := start(t, withDirectory(d.Directory))
	one := s.get("/api/rooms/room001/participants")
	if one.header.Get("Content-Length") != "" || len(one.body) < people*2048 {
		t.Fatalf("got %d bytes, length %s", len(one.body), one.header.Get("Content-Length"))
	}
	room := one.object(t)
	names, occupants := room["participants"].([]any), room["occupants"].([]any)
	if len(names) != people || len(occupants) != people || names[people-1] != strings.Repeat("<", 1024) {
		t.Fatalf("got %d names and %d occupants, want %d", len(names), len(occupants), people)
	}
	if last := occupants[people-1].(map[string]any)["id"]; last != fmt.Sprintf("p%06d", people-1) {
		t.Errorf("got %v last", last)
	}
	for _, target := range []string{"/api/rooms?expand=occupants", "/api/rooms?expand=occupants&name=room000&name=room001&name=Room001&name=room002"} {
		got := s.get(target)
		rooms := got.object(t)["rooms"].([]any)
		if len(rooms) != 3 {
			t.Fatalf("%s: got %d rooms", target, len(rooms))
		}
		second := rooms[1].(map[string]any)
		if !cmp.Equal(second["occupants"], room["occupants"]) || !cmp.Equal(second["participants"], room["participants"]) || second["as_of"] != room["as_of"] {
			t.Errorf("%s: got a different room than alone", target)
		}
		head := s.do(ask{method: http.MethodHead, target: target})
		if head.status != http.StatusOK || head.header.Get("ETag") != got.header.Get("ETag") || len(head.body) > 0 {
			t.Errorf("HEAD of %s: got %d, %v, %d bytes", target, head.status, head.header, len(head.body))
		}
		if again := s.do(ask{target: target, header: has(got)}); again.status != http.StatusNotModified {
			t.Errorf("%s: got %d want 304", target, again.status)
		}
	}
}

// A room changes while a response is sent: body and tag are of the same moment.
func TestAnswers_LargeOnesAreOfOneMoment(t *testing.T) {
	const people = 3000
	d := hostileCrowd(t, 2, people)
	s := start(t, withDirectory(d.Directory))
	conn := s.leaveUnread("/api/rooms?expand=occupants")
	for _, room := range []string{"room000", "room001"} {
		d.Leave(room, "p000000", "p000499")
		d.Join(room, "zoe")
	}
	resp := must(http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader("H"), conn)), nil))(t)
	body := must(io.ReadAll(resp.Body))(t)
	for i, room := range (answer{body: body}).object(t)["rooms"].([]any) {
		room := room.(map[string]any)
		n, occupants := room["participant_count"].(float64), room["occupants"].([]any)
		if n != people || len(occupants) != people || strings.Contains(fmt.Sprint(occupants), "zoe") {
			t.Errorf("room %d: got %v people and %d occupants of another moment", i, n, len(occupants))
		}
	}
	if got := s.do(ask{target: "/api/rooms?expand=occupants", header: http.Header{"If-None-Match": {resp.Header.Get("ETag")}}}); got.status != http.StatusOK {
		t.Errorf("got %d for the tag of another moment", got.status)
	}
}

func TestBatch_HasEachRoomOnce(t *testing.T) {
	s := start(t, withPast(several()))
	const planning = "%5Bacme%5Dplanning"
	got := s.get("/api/rooms?expand=occupants&name=Standup&name=standup&name=acme/planning&name=standup&name=" + planning + "&name=standup@muc.meet.jitsi&name=nowhere")
	var asked [][]any
	for _, room := range got.object(t)["rooms"].([]any) {
		room := room.(map[string]any)
		asked = append(asked, append([]any{room["room_name"], room["exists"]}, room["asked_as"].([]any)...))
	}
	want := [][]any{
		{"Standup", true, "Standup", "standup", "standup@muc.meet.jitsi"},
		{"acme/planning", true, "acme/planning", "[acme]planning"},
		{"nowhere", false, "nowhere"},
	}
	same(t, "requests", want, asked)
}

func TestAnswers_AngleBracketsTakeOneByteEach(t *testing.T) {
	s := start(t, withDirectory(hostileCrowd(t, 1, 1).Directory))
	for _, target := range []string{"/api/rooms/room000/participants", "/api/rooms/room000", "/api/rooms?name=room000&expand=occupants"} {
		if n := len(s.get(target).body); n > 2*1024+2000 {
			t.Errorf("%s: got %d bytes for a name of 1,024", target, n)
		}
	}
}

// A key whose clients leave too much unread gets no more responses; other keys still do.
func TestAnswers_OfOneKeyLeaveRoomForOthers(t *testing.T) {
	const other = "another-key-of-a-client"
	d := hostileCrowd(t, 1, 500)
	s := prepare(t, withBoth(withDirectory(d.Directory), withKeys("scope=all\n"+apitest.KeyLine(other, "name=other scope=all"))))
	s.Tight()
	s.run()
	const target = "/api/rooms/room000/participants"
	var conns []*net.TCPConn
	refused := 0
	for range 150 {
		conn := s.leaveUnread(target)
		status := make([]byte, len("TTP/1.1 429"))
		must(io.ReadFull(conn, status))(t)
		if strings.HasSuffix(string(status), "429") {
			refused++
		}
		conns = append(conns, conn)
	}
	if refused == 0 || s.Unread() > api.MaxUnreadOfKey {
		t.Errorf("of 150 unread responses %d were refused, and %d bytes wait", refused, s.Unread())
	}
	if got := s.get(target); got.status != http.StatusTooManyRequests {
		t.Errorf("got %d want 429", got.status)
	} else {
		got.wantProblem(t, http.StatusTooManyRequests, "too-much-unread")
	}
	if got := s.do(ask{target: target, header: http.Header{"X-API-Key": {other}}}); got.status != http.StatusOK {
		t.Errorf("another key: got %d", got.status)
	}
	for _, conn := range slices.Backward(conns) {
		_ = conn.Close()
	}
	reaches(t, "bytes for clients that have left", 0, s.Unread)
	if got := s.get(target); got.status != http.StatusOK {
		t.Errorf("after all was read: got %d", got.status)
	}
}
