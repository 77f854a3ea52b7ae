package api_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

// town returns a Directory of 10,000 rooms with 10 people in each, but 20 in the first.
func town(b *testing.B) *apitest.Directory {
	d := apitest.NewMeetings(b, nil)
	var rooms []occupancy.Delta
	for i := range 10_000 {
		delta := occupancy.Delta{Room: fmt.Sprintf("room%04d@muc.meet.jitsi", i), New: true, Facts: &occupancy.RoomFacts{CreatedAt: now, Subject: "Weekly"}}
		for j := range 10 + 10*max(0, 1-i) {
			delta.Present = append(delta.Present, occupancy.Occupant{
				ID: fmt.Sprintf("%08x", j), Name: fmt.Sprintf("Person Number %d", j), Role: "participant", Affiliation: "none",
				RealJID: fmt.Sprintf("%08x@meet.jitsi/x", j), JoinedAt: now, AvatarURL: "https://example.com/avatars/1.png",
			})
		}
		rooms = append(rooms, delta)
	}
	d.Load(mainDomain, rooms...)
	return d
}

// townHall returns a service of d without running it.
func townHall(b *testing.B, d *occupancy.Directory) *api.Server {
	b.Helper()
	names := namesOf(mainDomain, breakoutDomain, lobbyDomain)
	d.MaxStaleness = forever
	server, err := api.New(api.Config{
		Addr: "127.0.0.1:0", Keys: keyring(keys.KeyringConfig{Key: testKey, File: countKeyFile(b), Rate: 1e9, Names: names}), Names: names,
		Directory: d,
	})
	check(b, err)
	return server
}

// serve runs a service of d and returns its address.
func serve(b *testing.B, d *occupancy.Directory) string {
	b.Helper()
	server := townHall(b, d)
	b.Cleanup(componenttest.Run(b, server.Run))
	return server.Addr().String()
}

// load sends one request repeatedly on each of 16 connections, and returns the responses per second.
func load(b *testing.B, addr, request string, length time.Duration) float64 {
	b.Helper()
	var total int
	var mu sync.Mutex
	var asking sync.WaitGroup
	began := time.Now()
	for range 16 {
		asking.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			n, r := 0, bufio.NewReaderSize(conn, 64<<10)
			for ; time.Since(began) < length; n++ {
				if _, err := io.WriteString(conn, request); err != nil {
					b.Error(err)
					return
				}
				if err := skip(r); err != nil {
					b.Errorf("%s: %v", request, err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	asking.Wait()
	return float64(total) / time.Since(began).Seconds()
}

// skip reads a response, which must be successful. It is cheaper than net/http's client.
func skip(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(line))
		if first && !strings.HasPrefix(text, "HTTP/1.1 200") && !strings.HasPrefix(text, "HTTP/1.1 304") {
			return fmt.Errorf("got %s", text)
		}
		if value, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
		if text == "" {
			_, err := r.Discard(length)
			return err
		}
	}
}

// BenchmarkReads compares kinds of reads in seven alternating rounds. It reports medians, and the cost of each kind
// as a multiple of a read of one room of 20. The bare handlers of net/http write the same bytes: "bare" those of one room,
// and "three" its body with only type, length and date.
func BenchmarkReads(b *testing.B) {
	addr := serve(b, town(b).Directory)
	get := func(target, more string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n" + more + "\r\n"
	}
	const one = "/api/rooms/room0000/participants"
	body, header := answered(b, addr, one)
	bare := bareServer(b, header, body)
	three := bareServer(b, http.Header{"Content-Type": header["Content-Type"], "Content-Length": header["Content-Length"]}, body)
	names := url.Values{}
	for i := range 100 {
		names.Add("name", fmt.Sprintf("room%04d", 50*i))
	}
	page, batch := "/api/rooms?limit=100", "/api/rooms?"+names.Encode()
	bareOf := func(target string) string {
		body, header := answered(b, addr, target)
		return bareServer(b, header, body)
	}
	kinds := []struct{ name, addr, request string }{
		{"room", addr, get(one, "")},
		{"bare", bare, get(one, "")},
		{"three", three, get(one, "")},
		{"304", addr, get(one, "If-None-Match: "+header.Get("ETag")+"\r\n")},
		{"page", addr, get(page, "")},
		{"bare-page", bareOf(page), get("/", "")},
		{"batch", addr, get(batch, "")},
		{"bare-batch", bareOf(batch), get("/", "")},
	}
	for b.Loop() {
		rates := make([][]float64, len(kinds))
		for range 7 {
			for i, k := range kinds {
				rates[i] = append(rates[i], load(b, k.addr, k.request, 300*time.Millisecond))
			}
		}
		for i := range rates {
			slices.Sort(rates[i])
			b.ReportMetric(rates[i][3], kinds[i].name+"/s")
			b.Logf("%-10s %6.0f/s (%.0f to %.0f), the cost of %.2f rooms", kinds[i].name, rates[i][3], rates[i][0], rates[i][6], rates[0][3]/rates[i][3])
		}
	}
}

// answered returns the body and the header of a response.
func answered(b *testing.B, addr, target string) ([]byte, http.Header) {
	b.Helper()
	req := must(http.NewRequest(http.MethodGet, "http://"+addr+target, nil))(b)
	req.Header.Set("X-API-Key", testKey)
	transport := &http.Transport{DisableKeepAlives: true}
	resp := must(transport.RoundTrip(req))(b)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, err)
	}
	resp.Header.Del("Date") // net/http sets it
	return body, resp.Header
}

// bareServer answers each request with header and body.
func bareServer(b *testing.B, header http.Header, body []byte) string {
	b.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(b)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		_, _ = w.Write(body)
	})}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}
