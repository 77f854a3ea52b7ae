package component_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// silentCollector is a second collector of a shard, which doesn't answer.
type silentCollector struct{}

func (silentCollector) Ask(_ context.Context, _ string, _ []byte, _ bool, each func(string, []byte, error)) {
	each("ppch2.meet.jitsi", nil, context.DeadlineExceeded)
}

// An admin lists past meetings and reads who was there, which is logged. The reply names a collector that does not answer.
func TestAdmin_Meetings(t *testing.T) {
	t.Parallel()
	store := must(history.Open(t.Context(), t.TempDir(), history.Options{}))(t)
	t.Cleanup(store.Close)
	s := newScene(t, withModule, func(c *component.Config) {
		c.Directory = occupancy.NewDirectory(c.MUCDomains...)
		recorder := history.NewRecorder(history.RecorderConfig{Store: store, Directory: c.Directory, Level: history.LevelNames})
		c.Meetings = history.NewArchive(recorder, silentCollector{})
		t.Cleanup(componenttest.Run(t, recorder.Run))
	})
	s.populate(t)
	var list string
	eventually(t, 10*time.Second, "the meetings are listed", func() bool {
		_, sid := s.step(t, "meetings", "", "")
		list, _ = s.step(t, "meetings", sid, "complete", "room", "planning")
		return regexp.MustCompile(`1 meeting<.*<value>2<`).MatchString(list)
	})
	const missing = "incomplete without ppch2.meet.jitsi of the shard main: it did not answer in time"
	has(t, "list meetings", list, missing, "planning", "goes on", "<value>2<")
	id := regexp.MustCompile(`[0-9a-f]{32}`).FindString(list)

	_, sid := s.step(t, "attendance", "", "")
	answer, _ := s.step(t, "attendance", sid, "complete", "id", id)
	has(t, "attendance", answer, "completed", missing, "Ada &lt;&amp;&apos;&quot;&gt;", "Grace")
	_, sid = s.step(t, "attendance", "", "")
	answer, _ = s.step(t, "attendance", sid, "complete", "id", "none")
	has(t, "an impossible id", answer, "bad-request")
	_, sid = s.step(t, "attendance", "", "")
	answer, _ = s.step(t, "attendance", sid, "complete", "id", "00000000000000000000000000000000")
	has(t, "an unknown id", answer, missing)

	var accesses int
	if err := store.Read(t.Context(), func(tx *history.Tx) error {
		_, err := tx.Get("SELECT COUNT(*) FROM accesses WHERE key = ?", []any{bossJID}, &accesses)
		return err
	}); err != nil || accesses != 1 {
		t.Errorf("got %d accesses of the admin, %v; want 1", accesses, err)
	}
}
