package events_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

var nodeDomain = jid.MustParse("muc.v1.meet.jitsi")

// lose ends the connection to a shard, and connect restores it with the state that it had.
func (n *node) lose(shard string) {
	s := n.directory.Shard(shard)
	s.SetStatus(s.Domains()[0].JID, occupancy.Status{Since: time.Now(), Problem: occupancy.ProblemRefused.Err(nil)})
}

func (n *node) connect(shard string) {
	s := n.directory.Shard(shard)
	s.SetStatus(s.Domains()[0].JID, occupancy.Status{Connected: true, Since: time.Now().Add(-time.Hour), Mode: occupancy.ModeModule})
}

// wantStatus reads the next status, which has to be that of v1.
func wantStatus(t *testing.T, what string, f *apitest.Stream, live bool) {
	t.Helper()
	got := f.Until("status")
	served, _ := got.Data["visitors_of"].([]any)
	if got.Text("shard") != "v1" || got.Text("kind") != "visitors" || got.Data["live"] != live || len(served) != 1 || served[0] != "muc.meet.jitsi" {
		t.Errorf("%s: got %+v want the status of v1", what, got)
	}
}

// Streams of the rooms whose visitors are on a node say that their number is unknown, and that it is known again:
// one event each, even for many rooms.
func TestStream_SaysThatVisitorsAreUnknown(t *testing.T) {
	n := newNode(t, "a", "v1")
	n.open("a", "daily", "other")
	n.open("v1", "daily", "other")
	streams := map[string]*apitest.Stream{}
	for _, target := range []string{"/", "/?snapshot=true", "/daily", "/daily?snapshot=true", "/?shard=a"} {
		f := n.follow(target)
		defer f.Leave()
		if got := f.Until("status"); got.Text("kind") != "main" || got.Data["visitors_of"] != nil {
			t.Errorf("%s: got %+v want the status of the main shard first", target, got)
		}
		if got := f.Next(); got.Text("shard") != "v1" || got.Data["live"] != true {
			t.Errorf("%s: got %+v want that of v1", target, got)
		}
		streams[target] = f
	}
	for _, target := range []string{"/?snapshot=true", "/daily?snapshot=true"} {
		streams[target].Until("snapshot")
	}
	n.lose("v1")
	for target, f := range streams {
		wantStatus(t, target, f, false)
	}
	n.connect("v1")
	n.open("a", "late")
	for target, f := range streams {
		wantStatus(t, target, f, true)
		if target[1:] != "daily" && target != "/daily?snapshot=true" {
			if got := f.Next(); got.Name != "room.started" {
				t.Errorf("%s: got %+v want no other event for the node", target, got)
			}
		}
	}
}

// A stream that begins while a node is unknown, or that moves to another process, learns of it.
func TestStream_BeginsWhileVisitorsAreUnknown(t *testing.T) {
	n := newNode(t, "a", "v1")
	n.open("a", "daily")
	n.open("v1", "daily")
	id := n.begin()
	n.lose("v1")
	for _, from := range []string{"", id} {
		f := n.follow("/daily?snapshot=true", from)
		defer f.Leave()
		if got := f.Until("status"); got.Text("shard") != "a" {
			t.Errorf("from %q: got %+v want the status of a", from, got)
		}
		wantStatus(t, "from "+id, f, false)
		if from != "" {
			continue
		}
		room := f.Until("snapshot").Data["rooms"].([]any)[0].(map[string]any)
		if facts := room["facts"].(map[string]any); facts["visitors_watched"] != 1.0 {
			t.Errorf("got %v want the last number", facts)
		}
	}
}

// A stream of a node's own rooms, or of another Jitsi's, isn't about these visitors.
func TestStream_LeavesOutOtherVisitors(t *testing.T) {
	n := newNode(t, "a", "v1", "v2")
	for _, target := range []string{"/?shard=v2"} {
		f := n.follow(target)
		defer f.Leave()
		if got := f.Until("status"); got.Text("shard") != "v2" {
			t.Errorf("%s: got %+v want the status of v2", target, got)
		}
		n.lose("v1")
		n.open("v2", "late")
		if got := f.Next(); got.Name != "room.started" {
			t.Errorf("%s: got %+v want no status of v1", target, got)
		}
	}
}

// After a visitor node was retired, rooms have other numbers, without an event for each.
func TestStream_RetiredVisitorNode(t *testing.T) {
	n := newNode(t, "a", "v1")
	n.open("a", "daily")
	n.open("v1", "daily")
	for _, target := range []string{"/?snapshot=true", "/daily?snapshot=true"} {
		f := n.follow(target)
		defer f.Leave()
		f.Until("snapshot")
		n.directory.Retire("v1")
		if got := f.Until("reset"); got.Text("reason") != "retired" || got.Text("shard") != "v1" {
			t.Errorf("%s: got %+v want a reset of v1", target, got)
		}
		room := f.Until("snapshot").Data["rooms"].([]any)[0].(map[string]any)
		if facts := room["facts"].(map[string]any); facts["visitors_watched"] != nil {
			t.Errorf("%s: got %v want no watched visitors", target, facts)
		}
		s, err := n.directory.AddShard(occupancy.ShardConfig{Name: "v1", Kind: occupancy.ShardVisitors, Domains: []jid.JID{nodeDomain}})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, target, f, false)
		s.SetStatus(nodeDomain, occupancy.Status{Connected: true, Since: time.Now().Add(-time.Hour), Mode: occupancy.ModeModule})
		n.load("v1", epoch, 9, "daily")
		for live := false; !live; {
			live = f.Until("status").Data["live"] == true
		}
	}
}

// A status that changes between those at the beginning and the snapshot isn't lost.
func TestStream_StatusDuringTheFirstSnapshot(t *testing.T) {
	n := newNode(t, "a", "v1")
	n.open("a", "daily")
	lost := false
	w := &recorder{header: http.Header{}}
	w.wrote = func(p []byte) {
		if lost || !bytes.Contains(p, []byte(`"shard":"v1"`)) {
			return
		}
		lost = true
		before := n.Stats().Position
		n.lose("v1")
		for n.Stats().Position == before {
			time.Sleep(time.Millisecond)
		}
	}
	ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer leave()
	n.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/daily?snapshot=true", nil))
	_, after, ok := bytes.Cut(w.body.Bytes(), []byte("event: snapshot"))
	if !ok || !bytes.Contains(after, []byte(`"live":false`)) {
		t.Errorf("got %s\nwant the status of v1 after the snapshot", w.body.Bytes())
	}
}
