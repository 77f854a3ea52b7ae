package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// attacksOnPlaces use up streams, waiting requests and connections.
var attacksOnPlaces = []attack{
	{"streams, as many as one key gets", func(a *attacker) { a.holds("/api/events", "") }},
	{"waiting requests, as many as one key gets", func(a *attacker) {
		const room = "/api/rooms/room2/participants"
		a.holds(room+"?wait=55s", "If-None-Match: "+a.tag(room)+"\r\n")
	}},
	{"tickets", func(a *attacker) {
		a.doing.Go(func() {
			for n := 0; n < a.sizes.places && a.going(); n++ {
				a.read.Add(int64(len(a.roundTrip("POST", "/api/events/ticket"))))
				time.Sleep(time.Millisecond)
			}
		})
	}},
	{"connections that send nothing", func(a *attacker) { a.connects("") }},
	{"headers without end", func(a *attacker) { a.connects("GET /livez HTTP/1.1\r\nHost: ppch\r\nX-Slow: ") }},
	{"idle connections", func(a *attacker) { a.connects("GET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n") }},
	{"idle connections with a key", func(a *attacker) {
		a.connects("GET /api/stats/history HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
	}},
}

// During each attack, other clients get a new connection, a stream and a waiting request, and the service stays within 256 MiB.
func TestAttacks_PlacesForOtherClients(t *testing.T) { carryOut(t, attacksOnPlaces) }

// going reports whether the attack goes on.
func (a *attacker) going() bool {
	select {
	case <-a.ends:
		return false
	default:
		return true
	}
}

// roundTrip sends a request with the attacker's key on its own connection and returns the answer, or nothing if none came.
func (a *attacker) roundTrip(method, target string) []byte {
	conn, err := net.Dial("tcp", a.addr)
	if err != nil {
		return nil
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: ppch\r\nConnection: close\r\nContent-Length: 0\r\nX-API-Key: "+testKey+"\r\n\r\n")
	got, _ := io.ReadAll(conn)
	return got
}

// tag returns the ETag of an answer.
func (a *attacker) tag(target string) string {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.roundTrip("GET", target))), nil)
	if err != nil {
		a.t.Error(err)
		return ""
	}
	return resp.Header.Get("ETag")
}

// holds sends requests with long answers, each on its own connection, and reads the answers.
func (a *attacker) holds(target, header string) {
	a.doing.Go(func() {
		for n := 0; n < a.sizes.places && a.going(); n++ {
			conn := a.send("GET " + target + " HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n" + header + "\r\n")
			if conn == nil {
				return
			}
			a.doing.Go(func() {
				n, _ := io.Copy(io.Discard, conn)
				a.read.Add(n)
			})
			time.Sleep(time.Millisecond) // connecting isn't the attack
		}
	})
}

// connects opens connections, sends something on each, and leaves them open.
func (a *attacker) connects(text string) {
	a.doing.Go(func() {
		for n := 0; n < a.sizes.places && a.going(); n++ {
			if a.send(text) == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// wantPlaces checks that other clients get a request, a waiting request and a stream through during an attack, each on a new connection.
func (p *process) wantPlaces(t *testing.T, key string) {
	t.Helper()
	s := &service{url: p.url, client: p.client}
	const room = "/api/rooms/room1/participants"
	first, err := s.try(t.Context(), room, "X-API-Key", key)
	if err != nil || first.status != http.StatusOK {
		t.Errorf("a request of others got %d %v want an answer", first.status, err)
		return
	}
	waited, err := s.try(t.Context(), room+"?wait=100ms", "X-API-Key", key, "If-None-Match", first.header.Get("ETag"))
	if err != nil || waited.status != http.StatusNotModified {
		t.Errorf("a request of others that waits got %d %s %v want an answer", waited.status, waited.body, err)
	}
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/events", nil))(t)
	req.Header.Set("X-API-Key", key)
	resp, err := p.client.Do(req)
	if err != nil {
		t.Errorf("a stream of others got %v want it open", err)
		return
	}
	defer resp.Body.Close()
	if got, err := bufio.NewReader(resp.Body).ReadString('\n'); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, "retry:") {
		t.Errorf("a stream of others got %d %q %v want it open", resp.StatusCode, got, err)
	}
}
