package webhook_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/api/webhook"
	"ppch/component/occupancy"
)

func names() *occupancy.NameResolver {
	return occupancy.NewNameResolver(jid.MustParse("muc.meet.jitsi"))
}

func TestSettings_Check(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 21 {
		many["X-"+strings.Repeat("a", i+1)] = ""
	}
	for name, c := range map[string]struct {
		change func(*webhook.Settings)
		want   string
	}{
		"plain":                   {func(*webhook.Settings) {}, ""},
		"no URL":                  {func(s *webhook.Settings) { s.URL = "" }, `url: "" is not http:// or https:// with a host`},
		"another scheme":          {func(s *webhook.Settings) { s.URL = "gopher://a/" }, `url: "gopher://a/" is not`},
		"no host":                 {func(s *webhook.Settings) { s.URL = "https://:443/" }, "with a host"},
		"opaque URL":              {func(s *webhook.Settings) { s.URL = "https:example.com" }, "with a host"},
		"credentials":             {func(s *webhook.Settings) { s.URL = "https://u:hunter2@example.com/" }, "url: contains a user or password"},
		"broken with credentials": {func(s *webhook.Settings) { s.URL = "https://u:hunter2@exa mple.com/" }, "url: "},
		"fragment":                {func(s *webhook.Settings) { s.URL = "https://example.com/#a" }, "contains a #"},
		"not ASCII":               {func(s *webhook.Settings) { s.URL = "https://example.com/ä" }, "not ASCII"},
		"long":                    {func(s *webhook.Settings) { s.URL = "https://example.com/" + strings.Repeat("a", 3000) }, "has 3020 bytes, 2048"},
		"unknown event":           {func(s *webhook.Settings) { s.Events = []string{"joined"} }, `events: "joined" is unknown: use room.started,`},
		"impossible room":         {func(s *webhook.Settings) { s.Rooms = []string{"a*b"} }, `rooms: "a*b": a * is allowed only at the end`},
		"unknown format":          {func(s *webhook.Settings) { s.Format = "xml" }, `format: "xml" is unknown`},
		"format needs names":      {func(s *webhook.Settings) { s.Format, s.Names = "jaas", false }, "set names to true"},
		"text without template":   {func(s *webhook.Settings) { s.Format = "text" }, "template: the format text needs one"},
		"template without text":   {func(s *webhook.Settings) { s.Template = "x" }, "template: allowed only with the format text"},
		"header injection":        {func(s *webhook.Settings) { s.Headers = map[string]string{"X-A": "b\r\nHost: c"} }, "the value of X-A contains"},
		"header name":             {func(s *webhook.Settings) { s.Headers = map[string]string{"X A": "b"} }, `"X A" is not the name`},
		"reserved header":         {func(s *webhook.Settings) { s.Headers = map[string]string{"webhook-ID": "b"} }, "Webhook-Id is set by PPCH"},
		"host header":             {func(s *webhook.Settings) { s.Headers = map[string]string{"host": "b"} }, "Host is set by PPCH"},
		"header twice":            {func(s *webhook.Settings) { s.Headers = map[string]string{"x-a": "b", "X-A": "c"} }, "X-A: duplicate header"},
		"many headers":            {func(s *webhook.Settings) { s.Headers = many }, "headers: has 21, 20 are allowed"},
		"bearer token":            {func(s *webhook.Settings) { s.Headers = map[string]string{"authorization": "Bearer x"} }, ""},
	} {
		s := webhook.Settings{URL: "https://example.com:8443/hook?token=1", Names: true, Rooms: []string{"acme/*"}}
		c.change(&s)
		err := s.Check(names())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestID_Check(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{"slack-first_join": true, "A1": true, "": false, "-a": false, "a/b": false, "a b": false, "ä": false, strings.Repeat("a", 65): false} {
		if err := webhook.CheckID(id); (err == nil) != ok {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://example.com/a?b=c", "http://u:p@h/", "http://[::1]:80", "https://a\\@b/", "http://a#b", "//h", "https:h", "http://%41:1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := webhook.ParseURL(text)
		if err != nil {
			return
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host || again.User != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			t.Errorf("%q: got %+v, read again %+v, %v", text, u, again, err)
		}
		if r, err := http.NewRequest(http.MethodPost, u.String(), nil); err == nil && (r.URL.Hostname() != u.Hostname() || r.URL.Port() != u.Port()) {
			t.Errorf("%q: a request goes to %q", text, r.URL.Host)
		}
	})
}
