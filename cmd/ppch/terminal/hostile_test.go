package terminal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"ppch/cmd/ppch/terminal"
)

// all makes every kind of request, except the live table.
func all(t *testing.T, c *terminal.Client) map[string]error {
	t.Helper()
	var b strings.Builder
	got := map[string]error{
		"rooms":         c.Rooms(t.Context(), &b, terminal.List{}, terminal.Style{}),
		"rooms --json":  c.RoomsJSON(t.Context(), &b, terminal.List{}),
		"room":          c.Room(t.Context(), &b, "Planning", terminal.Style{}),
		"room --json":   c.RoomJSON(t.Context(), &b, "Planning"),
		"watch --lines": c.WatchLines(t.Context(), &b, ""),
		"watch --json":  c.WatchJSON(t.Context(), &b, &b, ""),
	}
	if b.Len() > 0 {
		t.Errorf("got %q written", b.String())
	}
	return got
}

// The response of another program must not look like an empty list.
func TestClient_RejectsForeignServer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page":           says("<html>"),
		"nothing":          says(""),
		"an empty object":  says("{}"),
		"null":             says("null"),
		"a list":           says("[]"),
		"a room of others": says(`{"exists":false,"rooms":null}`),
		"no such page":     http.NotFound,
		"somewhere else": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login", http.StatusFound)
		},
		"a status that clears the screen": raw("HTTP/1.1 404 \x1b[2J\r\nContent-Length: 0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := answers(t, map[string]http.HandlerFunc{"/api/rooms": answer, "/api/rooms/Planning": answer, "/api/events": answer})
			for how, err := range all(t, c) {
				if err == nil || !strings.Contains(err.Error(), "the server at 127.0.0.1:") || strings.ContainsFunc(err.Error(), unicode.IsControl) {
					t.Errorf("%s: got %v want an error that it is not PPCH", how, err)
				}
			}
		})
	}
}

// A redirect must not carry the key to another server.
func TestClient_FollowsNoRedirects(t *testing.T) {
	var keys []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("X-API-Key"))
	}))
	defer other.Close()
	away := http.RedirectHandler(other.URL, http.StatusTemporaryRedirect).ServeHTTP
	for how, err := range all(t, answers(t, map[string]http.HandlerFunc{"/api/rooms": away, "/api/rooms/Planning": away, "/api/events": away})) {
		if err == nil {
			t.Errorf("%s: got no error", how)
		}
	}
	if len(keys) > 0 {
		t.Errorf("got the keys %q there", keys)
	}
}

// raw sends bytes as they are and closes the connection.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			fmt.Fprint(conn, answer)
			conn.Close()
		}
	}
}

// A response that is cut off is not reported as another program's, and its text is cleaned.
func TestClient_BrokenResponse(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"a header without a colon":  {"HTTP/1.1 200 OK\r\n\x1b[2J\r\n\r\n", "is the service running? "},
		"a trailer without a colon": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\x1b[2J\r\n\r\n", "was cut off: "},
		"half of an answer":         {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "was cut off: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			c := answers(t, map[string]http.HandlerFunc{"/api/rooms": raw(tt.answer)})
			err := c.RoomsJSON(t.Context(), io.Discard, terminal.List{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("got %q want it to say %q", err, tt.want)
			}
		})
	}
}

func TestClient_ConnectionRefused(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	l.Close()
	for how, err := range all(t, &terminal.Client{URL: &url.URL{Scheme: "http", Host: l.Addr().String()}}) {
		if err == nil || !strings.HasPrefix(err.Error(), "is the service running? ") {
			t.Errorf("%s: got %v", how, err)
		}
	}
}

func TestClient_UntrustedCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	c := &terminal.Client{URL: u, Key: "key"}
	defer c.Close()
	for how, err := range all(t, c) {
		if err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
			t.Errorf("%s: got %v", how, err)
		}
	}
}

func TestRooms_EndlessList(t *testing.T) {
	endless := says(`{"rooms":[{"room_name":"a"}],"next_cursor":"again",` + asOf + `}`)
	err := answers(t, map[string]http.HandlerFunc{"/api/rooms": endless}).Rooms(t.Context(), &strings.Builder{}, terminal.List{}, terminal.Style{})
	if err == nil || !strings.HasSuffix(err.Error(), "an endless list") {
		t.Errorf("got %v", err)
	}
}

// Each line is an equivalent object without control characters.
func TestJSON_OneCleanLine(t *testing.T) {
	name := "a\u009b2J\u202e\U000e0041\u007f\"\\ 👩\u200d🚀"
	quoted, _ := json.Marshal(name)
	room := "{\n \"room_name\": " + string(quoted) + ",\n \"exists\": true,\n " + asOf + "}"
	c := answers(t, map[string]http.HandlerFunc{
		"/api/rooms":          says(`{"rooms":[` + room + "," + room + `],` + asOf + `}`),
		"/api/rooms/Planning": says(room),
	})
	var b strings.Builder
	check(t, errors.Join(c.RoomsJSON(t.Context(), &b, terminal.List{}), c.RoomJSON(t.Context(), &b, "Planning")))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("got %d lines want 3: %q", len(lines), lines)
	}
	for _, line := range lines {
		var got struct {
			Name string `json:"room_name"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Name != name {
			t.Errorf("got %q %v want %q", got.Name, err, name)
		}
		if terminal.Clean(line) != line {
			t.Errorf("got %q", line)
		}
	}
}

// Any name is one segment of the path.
func TestRoom_EscapesNames(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		fmt.Fprint(w, `{"room_name":"x","exists":false,`+asOf+`}`)
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL + "/behind")
	c := &terminal.Client{URL: u}
	defer c.Close()
	for _, name := range []string{"acme/Stand up", "Кафе", "a/b/c", "..", ".", "a?b#c", "50%", "[acme]x", "\x1b"} {
		if err := c.Room(t.Context(), &strings.Builder{}, name, terminal.Style{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		segment, ok := strings.CutPrefix(asked, "/behind/api/rooms/")
		if got, err := url.PathUnescape(segment); !ok || err != nil || got != name || strings.Contains(segment, "/") || strings.Trim(segment, ".") == "" {
			t.Errorf("%s: got %s", name, asked)
		}
	}
}
