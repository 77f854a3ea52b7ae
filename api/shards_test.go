package api_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// nodeDomain is the MUC domain of a visitor node.
var nodeDomain = jid.MustParse("muc.v1.meet.jitsi")

// fleet is a Directory of several shards: main and second, with the same domain, and the visitor node v1.
type fleet struct {
	*occupancy.Directory
	main, second, v1 *apitest.Directory
}

// newFleet returns a fleet whose shards are known and empty.
func newFleet(t testing.TB) fleet {
	t.Helper()
	all := apitest.NewShards(t)
	return fleet{
		all.Directory,
		all.AddShard(occupancy.ShardConfig{Name: "main", Domains: []jid.JID{mainDomain}}).Start(),
		all.AddShard(occupancy.ShardConfig{Name: "second", Domains: []jid.JID{mainDomain}}).Start(),
		all.AddShard(occupancy.ShardConfig{Name: "v1", Kind: occupancy.ShardVisitors, Domains: []jid.JID{nodeDomain}}).Start(),
	}
}

// lose makes a shard unknown.
func lose(d *apitest.Directory, domain jid.JID) {
	d.Forget(domain)
	d.Lose(away)
}

// withLostShard has two people in a room on a live shard, while another one is unknown.
func withLostShard(cfg *api.Config) {
	f := newFleet(panicker{})
	f.main.Join("daily", "ann", "bob")
	lose(f.second, mainDomain)
	withDirectory(f.Directory)(cfg)
}

// serve starts a service for the fleet.
func (f fleet) serve(t testing.TB, options ...func(*api.Config)) *service {
	t.Helper()
	return start(t, append([]func(*api.Config){withDirectory(f.Directory)}, options...)...)
}

// textsIn returns the texts in a list of a document.
func textsIn(list any) []string {
	var all []string
	for _, v := range list.([]any) {
		all = append(all, v.(string))
	}
	return all
}

func TestShards_RoomNamesItsShard(t *testing.T) {
	f := newFleet(t)
	f.second.Join("daily", "ann")
	s := f.serve(t)
	for _, target := range []string{"/api/rooms/daily", "/api/rooms/daily/participants"} {
		got := s.get(target).object(t)
		if got["shard"] != "second" || got["exact"] != true || got["split"] != nil || got["unknown_shards"] != nil || got["note"] != nil {
			t.Errorf("%s: got %v", target, got)
		}
	}
	if got := s.get("/api/rooms/nowhere").object(t); got["exists"] != false || got["shard"] != nil {
		t.Errorf("got %v", got)
	}
}

func TestShards_RoomWhileAnotherIsUnknown(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann", "bob")
	lose(f.second, mainDomain)
	s := f.serve(t)
	got := s.get("/api/rooms/daily/participants").object(t)
	if got["participant_count"] != 2.0 || got["exact"] != false || !slices.Equal(textsIn(got["unknown_shards"]), []string{"second"}) || !strings.Contains(got["note"].(string), "second") {
		t.Errorf("got %v", got)
	}
	problem := s.get("/api/rooms/nowhere/participants").wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	if !slices.Equal(textsIn(problem["unknown_shards"]), []string{"second"}) || !strings.HasPrefix(problem["detail"].(string), "shard second: ") || problem["exists"] != nil {
		t.Errorf("got %v", problem)
	}
	named := s.get("/api/rooms?name=daily&name=nowhere").wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	if !slices.Equal(textsIn(named["unknown_shards"]), []string{"second"}) {
		t.Errorf("got %v", named)
	}
}

func TestShards_SplitRoomIsSummed(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann", "bob")
	f.second.Join("daily", "cyd")
	s := f.serve(t)
	got := s.get("/api/rooms/daily").object(t)
	parts := got["parts"].([]any)
	if got["participant_count"] != 3.0 || got["split"] != true || got["exact"] != true || got["shard"] != nil || len(parts) != 2 || len(got["occupants"].([]any)) != 3 {
		t.Fatalf("got %v", got)
	}
	if a, b := parts[0].(map[string]any), parts[1].(map[string]any); a["shard"] != "main" || a["participant_count"] != 2.0 || b["shard"] != "second" || b["participant_count"] != 1.0 {
		t.Errorf("got %v", parts)
	}
	for shard, people := range map[string]float64{"": 3, "main": 2, "second": 1} {
		target := "/api/rooms?expand=occupants"
		if shard != "" {
			target += "&shard=" + shard
		}
		rooms := s.get(target).object(t)["rooms"].([]any)
		if room := rooms[0].(map[string]any); len(rooms) != 1 || room["participant_count"] != people || len(room["occupants"].([]any)) != int(people) {
			t.Errorf("%s: got %v", target, rooms)
		}
		if shard != "" {
			if room := s.get("/api/rooms/daily?shard=" + shard).object(t); room["participant_count"] != people || room["shard"] != shard || room["split"] != nil {
				t.Errorf("%s: got %v", shard, room)
			}
		}
	}
}

// The parts of a split room have times of their own, which must not come from a cache.
func TestShards_PartsOfSplitRoomHaveTheirTimes(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.second.Join("daily", "cyd")
	s := f.serve(t)
	asOf := func() string {
		return s.get("/api/rooms/daily/participants").object(t)["parts"].([]any)[1].(map[string]any)["as_of"].(string)
	}
	before := asOf()
	f.second.Now = func() time.Time { return time.Now().Add(time.Second) }
	f.second.Heartbeat()
	if after := asOf(); after <= before {
		t.Errorf("got %s after %s", after, before)
	}
}

func TestShards_ListsAndTotalsNeedAllShards(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	lose(f.second, mainDomain)
	s := f.serve(t)
	for _, path := range []string{"/api/rooms", "/api/stats"} {
		problem := s.get(path).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
		if !slices.Equal(textsIn(problem["unknown_shards"]), []string{"second"}) {
			t.Errorf("%s: got %v", path, problem)
		}
		problem = s.get(path+"?shard=second").wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
		if !slices.Equal(textsIn(problem["unknown_shards"]), []string{"second"}) {
			t.Errorf("%s of the unknown shard: got %v", path, problem)
		}
	}
	alone := s.get("/api/rooms/daily?shard=second").wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	if !slices.Equal(textsIn(alone["unknown_shards"]), []string{"second"}) {
		t.Errorf("got %v", alone)
	}
	if got := s.get("/api/rooms/daily?shard=main").object(t); got["exact"] != true || got["unknown_shards"] != nil {
		t.Errorf("got %v", got)
	}
	if rooms := s.get("/api/rooms?shard=main").object(t)["rooms"].([]any); len(rooms) != 1 {
		t.Errorf("got %v", rooms)
	}
	if got := s.get("/api/stats?shard=main").object(t); got["participant_count"] != 1.0 || got["shard"] != "main" || got["shards"] != nil {
		t.Errorf("got %v", got)
	}
}

func TestShards_TotalsOfEach(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.second.Join("daily", "bob")
	f.second.Join("other", "cyd")
	f.v1.Change(visitor("vic", "Vic"))
	s := f.serve(t)
	for i, want := range []any{nil, nil, 1.0} {
		if shard := s.get("/api/stats").object(t)["shards"].([]any)[i].(map[string]any); shard["visitors"] != want {
			t.Errorf("got %v want visitors %v", shard, want)
		}
	}
	lose(f.v1, nodeDomain)
	got := s.get("/api/stats").object(t)
	if got["rooms"] != 2.0 || got["participant_count"] != 3.0 {
		t.Errorf("got %v", got)
	}
	for i, want := range []struct {
		shard, kind   string
		rooms, people any
	}{{"main", "main", 1.0, 1.0}, {"second", "main", 2.0, 2.0}, {"v1", "visitors", nil, nil}} {
		shard := got["shards"].([]any)[i].(map[string]any)
		if shard["shard"] != want.shard || shard["kind"] != want.kind || shard["rooms"] != want.rooms || shard["participant_count"] != want.people || shard["visitors"] != nil {
			t.Errorf("got %v, want %v", shard, want)
		}
	}
}

func TestShards_UnknownNameIsRefused(t *testing.T) {
	s := newFleet(t).serve(t)
	for _, path := range []string{"/api/rooms", "/api/rooms/daily", "/api/stats", "/api/stats/history", "/api/events", "/api/events/recent", "/api/rooms/daily/events", "/api/rooms/daily/events/recent"} {
		problem := s.get(path+"?shard=third").wantProblem(t, http.StatusBadRequest, "bad-parameter")
		if problem["detail"] != `shard: there is no shard "third": use main or second or v1` {
			t.Errorf("%s: got %v", path, problem["detail"])
		}
		s.get(path+"?shard=main&shard=second").wantProblem(t, http.StatusBadRequest, "bad-parameter")
	}
	s.get("/api/stats/history?range=7d&shard=main").wantProblem(t, http.StatusBadRequest, "bad-parameter")
}

func TestShards_HistoryOfEach(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	s := prepare(t, withDirectory(f.Directory))
	at := time.Now().Truncate(time.Minute).Add(time.Minute)
	for range 35 { // the first step of 15 s doesn't count, because it isn't watched from its beginning
		s.LookBack(at)
		at = at.Add(time.Second)
	}
	lose(f.second, mainDomain)
	for range 20 {
		s.LookBack(at)
		at = at.Add(time.Second)
	}
	s.run()
	for target, want := range map[string][]any{"": {1.0, nil}, "?shard=main": {1.0, 1.0}, "?shard=second": {0.0, nil}} {
		got := s.get("/api/stats/history" + target).object(t)["participant_count"].([]any)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}

func TestHealth_OfSeveralShards(t *testing.T) {
	f := newFleet(t)
	s := f.serve(t)
	if got := s.get("/health"); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
	lose(f.v1, nodeDomain)
	if got := s.get("/health"); got.status != http.StatusOK || got.object(t)["shards"].([]any)[2].(map[string]any)["reason"] != "refused" {
		t.Errorf("without the visitor node: got %d %s", got.status, got.body)
	}
	lose(f.second, mainDomain)
	got := s.get("/health")
	doc := got.object(t)
	if got.status != http.StatusServiceUnavailable || doc["status"] != "error" || !strings.HasPrefix(doc["prosody_status"].(string), "error: shard second: ") || doc["reason"] != "refused" {
		t.Errorf("without a main shard: got %d %s", got.status, got.body)
	}
	for i, want := range []string{"ok", "error", "error"} {
		if shard := doc["shards"].([]any)[i].(map[string]any); !strings.HasPrefix(shard["status"].(string), want) {
			t.Errorf("got %v", shard)
		}
	}
}

func TestReady_OfSeveralShards(t *testing.T) {
	f := newFleet(t)
	s := f.serve(t)
	status := func() int { return s.get("/readyz").status }
	if got := status(); got != http.StatusOK {
		t.Errorf("got %d", got)
	}
	lose(f.second, mainDomain)
	if got := status(); got != http.StatusOK {
		t.Errorf("with one of two: got %d", got)
	}
	f.second.Lose(syncing)
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("while one is loading: got %d", got)
	}
	f.second.Lose(away)
	lose(f.main, mainDomain)
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("with none: got %d", got)
	}
}

func TestStream_OfOneShard(t *testing.T) {
	// Rooms of visitor nodes show other rooms once more, so only naming the shard shows them.
	// Their statuses concern all meetings.
	for target, want := range map[string][]string{
		"?snapshot=true":              {"status main", "status second", "status v1", "snapshot", "room.updated second", "room.started main", "participant.joined main", "participant.joined second"},
		"?snapshot=true&shard=second": {"status second", "status v1", "snapshot", "room.updated second", "participant.joined second"},
		"?snapshot=true&shard=v1":     {"status v1", "snapshot", "participant.joined v1"},
	} {
		t.Run(target, func(t *testing.T) {
			f := newFleet(t)
			visitor := func(nick string) occupancy.Delta {
				o := apitest.Person(nick)
				o.RealJID = nick + "@v1.meet.jitsi/web"
				return occupancy.Delta{Room: "daily@muc.v1.meet.jitsi", Present: []occupancy.Occupant{o}}
			}
			f.second.Join("daily", "zoe")
			f.v1.Change(visitor("vic"))
			stream := f.serve(t).follow("/api/events" + target)
			var got []string
			for range want {
				e := stream.Next()
				shard, _ := e.Data["shard"].(string)
				got = append(got, strings.TrimSpace(e.Name+" "+shard))
				if e.Name == "snapshot" {
					if domains := e.Data["domains"].([]any); slices.ContainsFunc(domains, func(d any) bool { return d.(map[string]any)["shard"] == "v1" }) != strings.HasSuffix(target, "v1") {
						t.Errorf("got the domains %v", domains)
					}
					if rooms := e.Data["rooms"].([]any); len(rooms) != 1 {
						t.Errorf("got the rooms %v", rooms)
					}
					f.v1.Change(visitor("val"))
					f.main.Join("daily", "ann")
					f.second.Join("daily", "bob")
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAtLeast_OfEachShard(t *testing.T) {
	f := newFleet(t)
	f.second.Join("daily", "ann")
	s := f.serve(t)
	s.WaitForPositions(time.Millisecond)
	_, origins := f.Origins()
	for shard, at := range origins {
		position := func(seq uint64) string { return shard + ":" + at.Epoch + ":" + strconv.FormatUint(seq, 10) }
		if got := s.get("/api/rooms/daily?at_least=" + position(at.Seq)); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s", shard, got.status, got.body)
		}
		s.get("/api/rooms/daily?at_least="+position(at.Seq+1)).wantProblem(t, http.StatusGatewayTimeout, "position-not-reached")
	}
	s.get("/api/rooms/daily?at_least=third:20261122T080000Z-k3x7aq:1").wantProblem(t, http.StatusBadRequest, "bad-parameter")
	lose(f.second, mainDomain)
	patient := f.serve(t)
	answers := patient.laterAt("/api/rooms/daily?at_least=main:20201122T080000Z-k3x7aq:1")
	patient.holds(1)
	f.main.Heartbeat()
	if got := <-answers; got.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s", got.status, got.body)
	}
	s.get("/api/stats?at_least=second:20201122T080000Z-k3x7aq:1").wantProblem(t, http.StatusGatewayTimeout, "position-not-reached")
}

func TestShards_ProblemOfARoomNamesItsShard(t *testing.T) {
	f := newFleet(t)
	lose(f.v1, nodeDomain)
	s := f.serve(t)
	for _, path := range []string{"", "/participants"} {
		problem := s.get("/api/rooms/daily@"+nodeDomain.String()+path).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
		if problem["unknown_shards"] == nil || !slices.Equal(textsIn(problem["unknown_shards"]), []string{"v1"}) || !strings.HasPrefix(problem["detail"].(string), "shard v1: ") {
			t.Errorf("%s: got %v", path, problem)
		}
	}
}

func TestShards_WithoutTheRoomsDomainIsRefused(t *testing.T) {
	s := newFleet(t).serve(t)
	for _, path := range []string{"", "/events", "/events/recent"} {
		problem := s.get("/api/rooms/daily"+path+"?shard=v1").wantProblem(t, http.StatusBadRequest, "domain-not-watched")
		if problem["detail"] != "The shard v1 has no domain muc.meet.jitsi, only muc.v1.meet.jitsi: ask for daily@muc.v1.meet.jitsi." {
			t.Errorf("%s: got %v", path, problem["detail"])
		}
	}
}

func TestShards_OneOfThem(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann", "bob")
	f.second.Join("daily", "cyd")
	s := f.serve(t)
	for target, people := range map[string]float64{
		"/api/rooms/daily/participants?shard=main": 2, "/api/rooms/daily/participants?shard=second&cachebuster=1": 1, "/api/rooms/daily?shard=main": 2,
		"/api/rooms?name=daily&shard=main": 2, "/api/rooms?name=daily&shard=second&expand=occupants": 1,
	} {
		got := s.get(target).object(t)
		if rooms, ok := got["rooms"].([]any); ok {
			got = rooms[0].(map[string]any)
		}
		if shard := strings.Split(strings.Split(target, "shard=")[1], "&")[0]; got["participant_count"] != people || got["shard"] != shard || got["split"] != nil {
			t.Errorf("%s: got %v", target, got)
		}
	}
	for _, target := range []string{"/api/rooms/nowhere/participants", "/api/rooms/nowhere", "/api/rooms?name=nowhere"} {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		got := s.get(target + separator + "shard=second").object(t)
		if rooms, ok := got["rooms"].([]any); ok {
			got = rooms[0].(map[string]any)
		}
		if got["exists"] != false || got["shard"] != "second" {
			t.Errorf("%s: got %v", target, got)
		}
	}
	for _, target := range []string{"/api/rooms/daily/participants", "/api/rooms?name=daily"} {
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		s.get(target+separator+"shard=third").wantProblem(t, http.StatusBadRequest, "bad-parameter")
		s.get(target+separator+"shard=v1").wantProblem(t, http.StatusBadRequest, "domain-not-watched")
	}
}
