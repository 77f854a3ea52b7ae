package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A file of shards that becomes wrong while the service runs leaves it with the shards that it has, and the log says so once. A right one takes effect.
func TestShards_WrongFileKeepsPrevious(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	dir := t.TempDir()
	file, right := filepath.Join(dir, "shards"), shardLine(t, "a", "main", srv)
	write := func(text string) { // at once, as an editor does
		put(t, file+".new", text)
		check(t, os.Rename(file+".new", file))
	}
	write(right)
	s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file}).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ann")
	eventually(t, 10*time.Second, "Ann is there", func() bool { return s.room("planning").data["participant_count"] == 1.0 })
	lines := func(message, err string) (n int) {
		for _, r := range s.log.Records(t) {
			if cause, _ := r["err"].(string); r["msg"] == message && strings.Contains(cause, err) {
				n++
			}
		}
		return n
	}
	const kept = "shards file invalid, keeping previous shards"
	for _, tt := range []struct {
		name   string
		change func()
		err    string
	}{
		{"a line is wrong", func() { write(right + "name=b muc\n") }, "line 2: word 2 is not a field"},
		{"it is empty", func() { write("") }, "names no shard that is in service"},
		{"it is gone", func() { check(t, os.Remove(file)) }, "no such file"},
	} {
		tt.change()
		eventually(t, 20*time.Second, "the log says that "+tt.name, func() bool { return lines(kept, tt.err) > 0 })
		if a := s.room("planning"); a.status != http.StatusOK || a.data["participant_count"] != 1.0 || a.data["exact"] != true {
			t.Errorf("%s: got %d %s want Ann in her room", tt.name, a.status, a.body)
		}
	}
	meeting(t, castOn(t, srv), srv.Room("retro"), "Bob")
	eventually(t, 10*time.Second, "Bob is there, too", func() bool { return s.room("retro").data["participant_count"] == 1.0 })
	if got := s.get("/metrics", "X-API-Key", testKey).body; !strings.Contains(got, "\nppch_streams_total{shard=\"a\"} 1\n") {
		t.Errorf("got the metrics\n%s\nwant the first connection of a", got)
	}

	write(right + "name=b url=xmpp://" + freeAddress(t) + " component=ppch.meet.jitsi secret_file=" + written(t, "b.secret", "secret") + " muc=muc.meet.jitsi\n")
	eventually(t, 20*time.Second, "the right file takes effect", func() bool { return lines("shard added", "") == 1 })
	if n := lines(kept, ""); n != 3 {
		t.Errorf("got %d lines want one for each fault", n)
	}
}
