package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// rude sends a raw request that no HTTP library would send.
func (s *service) rude(t *testing.T, target string) {
	t.Helper()
	c := must(net.Dial("tcp", strings.TrimPrefix(s.url, "http://")))(t)
	defer c.Close()
	must(fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: ppch\r\nX-API-Key: %s\r\nConnection: close\r\n\r\n", target, testKey))(t)
	must(io.Copy(io.Discard, bufio.NewReader(c)))(t)
}

// The log contains no people, keys or secrets, and rooms only with DEBUG.
func TestLog_ContainsNoNames(t *testing.T) {
	t.Parallel()
	const room, person, badKey = "layoffs", "Åsa Lövgren", "Wrong-Horse-Battery-Staple"
	for level, isDebug := range map[string]bool{"info": false, "debug": true} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, prosodytest.Options{DomainMapper: true})
			cast := castOn(t, srv)
			asa := meeting(t, cast, srv.Room(room), person)[0]
			meeting(t, cast, srv.TenantRoom("acme", room), person)
			env := envFor(srv)
			env["DEBUG"] = fmt.Sprint(isDebug)
			s := runService(t, env).ready()

			for _, name := range []string{
				room, "Layoffs", "acme%2F" + room, "no-" + room, room + "%27", room + "%2527", room + "%00", room + "%EF%BF%BE", room + "%FF", "%5B" + room,
				room + "%2F" + room + "%2F" + room, room + "@elsewhere.example", room + "@muc.meet.jitsi%2Fnick", room + strings.Repeat("x", 1024), "%CE%87" + room,
			} {
				s.room(name)
			}
			s.rude(t, "/api/rooms/"+room+"%zz/participants")
			s.rude(t, "/api/rooms/"+room+"\x01/participants")
			s.rude(t, "/"+room+"/"+strings.Repeat("x", 9000))
			path := "/api/rooms/" + room + "/participants"
			s.get(path)
			s.get(path, "X-API-Key", badKey)
			s.get(path, "Authorization", "Bearer "+testKey)
			s.get(path, "Authorization", "Basic "+badKey)
			s.get(path+"?key="+testKey, "Cookie", testKey)
			s.get("/health?"+room, "Referer", "https://meet.jitsi/"+room)
			s.get("/" + room)
			// An outage, because errors often contain too much.
			check(t, srv.Kill())
			s.room(room)
			if err := s.stop(); err != nil {
				t.Errorf("run got %v want nil", err)
			}

			got := s.log.String()
			least := 15 // without DEBUG only failed ones
			if isDebug {
				least = 25
			}
			if n := strings.Count(got, `"request answered"`); n < least {
				t.Errorf("the log got %d requests want at least %d", n, least)
			}
			shows := func(text string) bool { return strings.Contains(strings.ToLower(got), strings.ToLower(text)) }
			for what, text := range map[string]string{
				"the key": testKey, "a wrong key": badKey, "the secret": srv.Secret(), "a person": person, "a first name": "Åsa", "a nick": asa.Nick(),
			} {
				if shows(text) {
					t.Errorf("the log shows %s, %s", what, text)
				}
			}
			if shows(room) != isDebug {
				t.Errorf("the log shows the room %t want %t", !isDebug, isDebug)
			}
		})
	}
}

// The request_id of a problem document leads to the log record with the details.
func TestLog_RequestID(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	s := runService(t, envFor(srv)).ready()

	for name, tt := range map[string]struct {
		got    answer
		status float64
		says   string
	}{
		"the number is kept from us": {s.room("planning"), 503, "module-missing"},
		"an impossible name":         {s.room("a%2Fb%2Fc"), 400, "invalid room name"},
		"a wrong key":                {s.get("/api/rooms/planning/participants", "X-API-Key", "wrong"), 403, "not an API key"},
		"a proxy chose the id":       {s.get("/nowhere", "X-Request-ID", "from-nginx-1"), 404, "not-found"},
	} {
		id, _ := tt.got.data["request_id"].(string)
		if id == "" || tt.got.header.Get("X-Request-ID") != id || float64(tt.got.status) != tt.status {
			t.Errorf("%s: got %d, X-Request-ID %q, %s want %v with an id in both", name, tt.got.status, tt.got.header.Get("X-Request-ID"), tt.got.body, tt.status)
		}
		if strings.HasPrefix(name, "a proxy") && id != "from-nginx-1" {
			t.Errorf("%s: got the id %q want from-nginx-1", name, id)
		}
		var found []map[string]any
		// The record is written after the response.
		eventually(t, 5*time.Second, name+": the log has "+id, func() bool {
			found = nil
			for _, r := range s.log.Records(t) {
				if r["request_id"] == id {
					found = append(found, r)
				}
			}
			return len(found) > 0
		})
		if err, _ := found[0]["err"].(string); len(found) != 1 || found[0]["status"] != tt.status || !strings.Contains(err, tt.says) {
			t.Errorf("%s: got %v want one record of %v that says %s", name, found, tt.status, tt.says)
		}
	}
}

func TestLog_TimeZone(t *testing.T) {
	t.Parallel()
	s := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret-of-a-test", "PPCH_PORT": "0", "PROSODY_URL": "http://127.0.0.1:5280", "TZ": "Asia/Kathmandu",
	})
	for _, r := range s.log.Records(t) {
		if at, _ := r["time"].(string); !strings.HasSuffix(at, "+05:45") {
			t.Errorf("got the time %q want that of Kathmandu", at)
		}
	}
	first := s.log.Records(t)[0]
	if msg, _ := first["msg"].(string); first["level"] != "WARN" || !strings.HasPrefix(msg, "PROSODY_URL is an HTTP address") {
		t.Errorf("the log begins with %v want the warning of the configuration", first)
	}
}

func TestLog_NamesTheDashboard(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	for public, want := range map[string]string{
		"":                                  "http://127.0.0.1:PORT/dashboard/",
		"https://ppch.example.com/meetings": "https://ppch.example.com/meetings/dashboard/",
		"https://ppch.example.com/":         "https://ppch.example.com/dashboard/",
	} {
		env := envFor(srv)
		env["PPCH_PUBLIC_URL"] = public
		s := runService(t, env)
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		for _, r := range s.log.Records(t) {
			if want := strings.Replace(want, "PORT", port, 1); r["msg"] == "ppch started" && r["dashboard"] != want {
				t.Errorf("got %v want %s", r["dashboard"], want)
			}
		}
	}
}

// A number would need a unit.
func TestLog_DurationsAreText(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	env := envFor(srv)
	env["DEBUG"] = "true"
	s := runService(t, env).ready()
	s.get("/health")
	eventually(t, 5*time.Second, "the request is logged", func() bool {
		for _, r := range s.log.Records(t) {
			if text, ok := r["duration"].(string); ok {
				took, err := time.ParseDuration(text)
				return err == nil && took > 0
			}
		}
		return false
	})
}

func TestRounded_KeepsFourDigits(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		1270321735: "1.27s", 123456: "123.5µs", 500 * time.Millisecond: "500ms", 999: "999ns", 0: "0s", 3661 * time.Second: "1h1m1s", -1270321735: "-1.27s",
	} {
		if got := rounded(in).String(); got != want {
			t.Errorf("%d: got %s want %s", in, got, want)
		}
	}
}
