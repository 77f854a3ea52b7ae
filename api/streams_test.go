package api_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// follow opens a stream with testKey. Headers alternate names and values.
func (s *service) follow(target string, headers ...string) *apitest.Stream {
	s.t.Helper()
	return openStream(s.t, s.client.Transport, s.url(target), headers...)
}

// openStream opens a stream with testKey.
func openStream(t testing.TB, transport http.RoundTripper, url string, headers ...string) *apitest.Stream {
	t.Helper()
	req := must(http.NewRequest(http.MethodGet, url, nil))(t)
	req.Header.Set("X-API-Key", testKey)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	f := must(apitest.Open(t, transport, req))(t)
	return f
}

// firstEvents returns the beginning of a stream, up to its nth event. After a snapshot it calls then.
func firstEvents(body io.Reader, n int, then func()) io.Reader {
	lines := bufio.NewReader(body)
	var read strings.Builder
	for name := ""; n > 0; {
		line, err := lines.ReadString('\n')
		read.WriteString(line)
		if err != nil {
			break
		}
		if value, ok := strings.CutPrefix(line, "event: "); ok {
			name = value
		}
		if line == "\n" && name != "" {
			if name == "snapshot\n" && then != nil {
				then()
			}
			name = ""
			n--
		}
	}
	return strings.NewReader(read.String())
}

// stage is the Directory of playMeeting and playHistory.
var stage *apitest.Directory

// withMeeting prepares a service for playMeeting, with one person in a room.
func withMeeting(cfg *api.Config) {
	all := apitest.NewShards(panicker{})
	stage = all.AddShard(occupancy.ShardConfig{Name: "main", Domains: []jid.JID{mainDomain}}).Start()
	all.AddShard(occupancy.ShardConfig{Name: "v1", Kind: occupancy.ShardVisitors, Domains: []jid.JID{nodeDomain}}).Start()
	stage.Join("planning", "ada")
	withDirectory(all.Directory)(cfg)
}

// panicker stands in for a test where there is none.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Error(args ...any) { panic(args) }

// playMeeting plays every kind of event.
func playMeeting() {
	const room = "[acme]stand%20up@muc.meet.jitsi"
	grace := apitest.Person("grace")
	facts := occupancy.RoomFacts{CreatedAt: now, MeetingID: "m-1"}
	stage.Change(occupancy.Delta{Room: room, New: true, Facts: &facts})
	stage.Join("[acme]stand%20up", "grace")
	grace.Flags = occupancy.FlagHandRaised
	stage.Change(occupancy.Delta{Room: room, Present: []occupancy.Occupant{grace}})
	facts.Subject, facts.Visitors, facts.Breakouts = "Plans", new(0), []occupancy.Breakout{{JID: "7d1f@breakout.meet.jitsi", Name: "Group 1"}}
	stage.Change(occupancy.Delta{Room: room, Facts: &facts})
	stage.Change(occupancy.Delta{Room: room, Gone: true, Reason: occupancy.LeaveRoomDestroyed, Alternate: "later@muc.meet.jitsi"})
}

// noteEvents checks the events of a stream against their schemas, and adds their fields to given.
func noteEvents(t *testing.T, a answer, given map[string]bool) {
	t.Helper()
	if a.header.Get("Content-Type") != "text/event-stream" {
		return
	}
	for e := range apitest.Read(t, io.NopCloser(bytes.NewReader(a.body))).Events {
		union := contract(t).Components.Schemas["Event"].Value
		if err := union.VisitJSON(any(e.Data), openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		for _, option := range union.OneOf {
			if option.Ref == union.Discriminator.Mapping[e.Name].Ref {
				noteFields(option, e.Data, given)
			}
		}
	}
}

// withDirectory serves a Directory.
func withDirectory(d *occupancy.Directory) func(*api.Config) {
	return func(cfg *api.Config) {
		var domains []jid.JID
		for _, domain := range d.Domains() {
			domains = append(domains, domain.JID)
		}
		cfg.Directory, cfg.Names = d, namesOf(domains...)
	}
}
