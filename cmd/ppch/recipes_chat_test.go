package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"ppch/prosody/prosodytest"
)

// jsonText returns the field text of a body that has these fields only, as Slack, Mattermost and hookshot require.
func jsonText(r received, fields ...string) (string, error) {
	if typ, _, _ := mime.ParseMediaType(r.header.Get("Content-Type")); typ != "application/json" {
		return "", fmt.Errorf("the content type is %s", typ)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		return "", err
	}
	for name := range doc {
		if !slices.Contains(fields, name) {
			return "", fmt.Errorf("the field %s is unknown", name)
		}
	}
	text, _ := doc["text"].(string)
	if text == "" {
		return "", errors.New("no text")
	}
	return text, nil
}

// chats check a delivery as the documentation of a service asks, and return what its users read.
var chats = map[string]struct {
	path  string // of the example's URL
	check func(r received) (string, error)
}{
	// docs.slack.dev, "Sending messages using incoming webhooks"; control sequences are in <…>.
	"slack": {`^/services/T\w+/B\w+/\w+$`, func(r received) (string, error) {
		text, err := jsonText(r, "text", "blocks", "thread_ts", "response_type")
		if strings.ContainsAny(text, "<>") {
			err = errors.Join(err, errors.New("the text has a control sequence"))
		}
		return text, err
	}},
	// developers.mattermost.com, "Incoming webhooks": 16383 characters.
	"mattermost": {`^/hooks/\w+$`, func(r received) (string, error) {
		text, err := jsonText(r, "text", "username", "channel", "icon_url", "icon_emoji", "attachments", "props", "type", "priority")
		if utf8.RuneCountInString(text) > 16383 || regexp.MustCompile(`@(all|channel|here)\b`).MatchString(text) {
			err = errors.Join(err, errors.New("the text is too long or calls the channel"))
		}
		return text, err
	}},
	// matrix-org.github.io/matrix-hookshot, "Generic webhooks": text, html and username.
	"matrix": {`^/webhook/[0-9a-f-]{36}$`, func(r received) (string, error) {
		text, err := jsonText(r, "text", "html", "username", "version")
		if strings.Contains(text, "@room") {
			err = errors.Join(err, errors.New("the text calls the room"))
		}
		return text, err
	}},
	// docs.ntfy.sh/publish: the body is the message, of 4096 bytes at most; a topic is one path segment; a header has no characters beyond ASCII.
	"ntfy": {`^/[-_A-Za-z0-9]{1,64}$`, func(r received) (string, error) {
		for _, name := range []string{"Title", "Tags", "Priority"} {
			if v := r.header.Get(name); v == "" || strings.ContainsFunc(v, func(c rune) bool { return c > unicode.MaxASCII }) {
				return "", fmt.Errorf("%s is %q", name, v)
			}
		}
		if !slices.Contains([]string{"min", "low", "default", "high", "max", "1", "2", "3", "4", "5"}, r.header.Get("Priority")) || len(r.body) > 4096 || r.body == "" {
			return "", errors.New("the priority or the length is wrong")
		}
		return r.body, nil
	}},
}

// The files for chat programs work as they are, but for the URL, also with hostile names.
func TestRecipes_ChatPrograms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	s := runService(t, withStore(t, envFor(srv))).ready()
	inboxes := map[string]*inbox{}
	for name, chat := range chats {
		settings := recipeWebhook(t, name)
		u := must(url.Parse(settings["url"].(string)))(t)
		if !regexp.MustCompile(chat.path).MatchString(u.Path) || u.Scheme != "https" {
			t.Errorf("%s: %s is no URL of that service", name, u)
		}
		in := newInbox(t)
		inboxes[name] = in
		settings["url"] = in.URL + u.Path
		s.putWebhook(name, settings)
		if a := s.send(http.MethodPost, "/api/webhooks/"+name+"/test", ""); a.status != http.StatusOK || a.data["result"] == "failed" {
			t.Errorf("%s: the test got %d %s", name, a.status, a.body)
		}
	}
	const guest = "@channel @room <!here> [x](https://evil.test)\n\"Ada\" \\"
	occupyUntil(t, cast, srv, guest, func() bool {
		for _, in := range inboxes {
			if len(in.all()) < 2 {
				return false
			}
		}
		return true
	})
	for name, chat := range chats {
		var text string
		for _, r := range inboxes[name].all() {
			var err error
			if text, err = chat.check(r); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, r.body)
			}
		}
		if !strings.Contains(text, "planning") || !strings.Contains(text, "Ada") || strings.ContainsAny(text, "\n\r") || strings.Contains(text, "](https://") {
			t.Errorf("%s: got the message %q", name, text)
		}
	}
}

// occupyUntil lets a person join one room after the other. What is there when the service looks for the first time causes no event.
func occupyUntil(t *testing.T, cast *prosodytest.Cast, srv *prosodytest.Server, name string, done func() bool) {
	t.Helper()
	for i := range 20 {
		meeting(t, cast, srv.Room(fmt.Sprint("planning-", i)), name)
		for began := time.Now(); time.Since(began) < time.Second; time.Sleep(20 * time.Millisecond) {
			if done() {
				return
			}
		}
	}
	t.Fatal("no event arrived")
}

// recipeWebhook returns the settings in a recipe's file.
func recipeWebhook(t *testing.T, name string) map[string]any {
	t.Helper()
	var settings map[string]any
	if err := json.Unmarshal([]byte(ofTheProject(t, "cmd/ppch/deploy/recipes/"+name+".json")), &settings); err != nil {
		t.Fatalf("%s.json: %v", name, err)
	}
	return settings
}

// putWebhook creates a webhook.
func (s *service) putWebhook(id string, settings map[string]any) {
	s.t.Helper()
	body := string(must(json.Marshal(settings))(s.t))
	var a answer
	eventually(s.t, 10*time.Second, "the store is open", func() bool {
		a = s.send(http.MethodPut, "/api/webhooks/"+id, body)
		return a.status != http.StatusServiceUnavailable
	})
	if a.status != http.StatusCreated {
		s.t.Fatalf("PUT %s: %d %s", id, a.status, a.body)
	}
}

// n8nWorkflow is what n8n imports: nodes, and connections by the names of nodes.
type n8nWorkflow struct {
	Name  string
	Nodes []struct {
		ID, Name, Type string
		TypeVersion    float64
		Position       []int
		WebhookID      string
		Parameters     map[string]any
	}
	Connections map[string]map[string][][]struct {
		Node, Type string
		Index      *int
	}
	Settings, PinData map[string]any
}

// n8n imports the workflow, and each of its expressions finds its field in real deliveries.
func TestRecipes_N8N(t *testing.T) {
	t.Parallel()
	text := ofTheProject(t, "cmd/ppch/deploy/recipes/n8n.json")
	var flow n8nWorkflow
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	check(t, d.Decode(&flow))
	nodes := map[string]bool{}
	for _, n := range flow.Nodes {
		if n.ID == "" || n.Name == "" || nodes[n.Name] || !strings.HasPrefix(n.Type, "n8n-nodes-base.") || n.TypeVersion < 1 || len(n.Position) != 2 || n.Parameters == nil {
			t.Errorf("n8n can't import the node %+v", n)
		}
		nodes[n.Name] = true
	}
	for from, outputs := range flow.Connections {
		for _, to := range slices.Concat(outputs["main"]...) {
			if !nodes[from] || !nodes[to.Node] || to.Type != "main" || to.Index == nil {
				t.Errorf("the connection from %s to %+v leads nowhere", from, to)
			}
		}
	}
	hook := flow.Nodes[0]
	if hook.Type != "n8n-nodes-base.webhook" || hook.WebhookID == "" || hook.Parameters["httpMethod"] != "POST" || hook.Parameters["authentication"] != "headerAuth" {
		t.Errorf("got the webhook node %+v", hook)
	}

	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, withStore(t, envFor(srv))).ready()
	in := newInbox(t)
	settings := recipeWebhook(t, "n8n-webhook")
	u := must(url.Parse(settings["url"].(string)))(t)
	if u.Path != "/webhook/"+hook.Parameters["path"].(string) {
		t.Errorf("PPCH would send to %s, n8n listens at /webhook/%s", u.Path, hook.Parameters["path"])
	}
	settings["url"] = in.URL + u.Path
	s.putWebhook("n8n", settings)
	occupyUntil(t, castOn(t, srv), srv, "Ada", func() bool { return len(in.all()) > 0 })
	r := in.all()[0]
	if got := r.header.Get("Authorization"); got != "Bearer CHANGE-THIS" {
		t.Errorf("got Authorization %q", got)
	}
	var body any
	check(t, json.Unmarshal([]byte(r.body), &body))
	fields := regexp.MustCompile(`\$json\.body\.([a-z_.]+)`).FindAllStringSubmatch(text, -1)
	if len(fields) < 4 {
		t.Errorf("got the expressions %q", fields)
	}
	for _, field := range fields {
		value := body
		for name := range strings.SplitSeq(field[1], ".") {
			value = value.(map[string]any)[name]
		}
		if value == nil {
			t.Errorf("a delivery has no %s:\n%s", field[1], r.body)
		}
	}
}

// jinja renders Home Assistant's templates with an answer of PPCH as it does: value_json is undefined unless the body is JSON.
const jinja = `
import json, sys, yaml, jinja2
class Loader(yaml.SafeLoader): pass
Loader.add_constructor("!secret", lambda l, n: "secret:" + n.value)
config = yaml.load(open(sys.argv[1]), Loader)
rest = config["rest"][0]
assert rest["headers"]["X-API-Key"] == "secret:ppch_api_key", rest
sensor = rest["sensor"][0]
body = sys.stdin.read()
values = {"value": body}
try:
    values["value_json"] = json.loads(body)
except ValueError:
    pass
render = lambda text: jinja2.Environment().from_string(text).render(**values)
print(rest["resource"], render(sensor["availability"]), render(sensor["value_template"]) if render(sensor["availability"]) == "True" else "-")
`

// Home Assistant's REST sensor shows a number for an answer with a number, and is unavailable for every other.
func TestRecipes_HomeAssistantREST(t *testing.T) {
	t.Parallel()
	python := prosodytest.Installed(t, "python3")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := envFor(srv)
	s := runService(t, env).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Grace")
	eventually(t, 10*time.Second, "both are there", func() bool { return s.room("planning").data["participant_count"] == 2.0 })
	lost := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret", "PPCH_PORT": "0", "PROSODY_URL": "xmpp://127.0.0.1:1"})
	for name, tt := range map[string]struct{ body, want string }{
		"a number":      {s.room("planning").body, "True 2"},
		"an empty room": {s.room("nothing").body, "True 0"},
		"a 503":         {lost.room("planning").body, "False -"},
		"a proxy":       {"<h1>502 Bad Gateway</h1>", "False -"},
		"nothing":       {"", "False -"},
		"a number that includes Jitsi's services": {`{"participant_count":3,"exact":false}`, "False -"},
	} {
		cmd := exec.Command(python, "-c", jinja, "deploy/recipes/home-assistant.yaml")
		cmd.Stdin = strings.NewReader(tt.body)
		out, err := cmd.CombinedOutput()
		if want := "http://127.0.0.1:8890/api/rooms/planning/participants " + tt.want; err != nil || string(bytes.TrimSpace(out)) != want {
			t.Errorf("%s: got %s, %v want %s", name, out, err, want)
		}
	}
}
