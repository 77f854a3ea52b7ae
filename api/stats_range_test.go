package api_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"ppch/api"
	"ppch/api/view"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// Each range has the peaks of its steps in their places. A step that wasn't watched is null, and one that was watched in part says so.
func TestStatsRange_Numbers(t *testing.T) {
	const day = 24 * time.Hour
	ranges := []struct {
		name  string
		step  time.Duration
		steps int
	}{{"24h", 5 * time.Minute, 288}, {"7d", time.Hour, 168}, {"30d", time.Hour, 720}, {"1y", day, 365}}
	began := time.Now()
	s := start(t, func(cfg *api.Config) {
		store := storeIn(temp())
		err := store.Write(context.Background(), func(tx *history.Tx) error {
			for i, r := range ranges {
				if i == 2 {
					continue // the same step
				}
				// The last step but one in half, the one before not at all, and the first one of each range; lobbies don't count.
				for _, row := range []struct {
					back, rooms, people int
					watched             time.Duration
					typ                 occupancy.RoomType
				}{
					{1, 2, 30 + i, r.step / 2, occupancy.RoomMain}, {3, 0, 0, r.step, occupancy.RoomMain}, {r.steps - 1, 7, 70 + i, r.step, occupancy.RoomMain},
					{719, 9, 90, r.step, occupancy.RoomMain}, {5000, 99, 99, r.step, occupancy.RoomMain}, {2, 99, 99, r.step, occupancy.RoomLobby},
				} {
					at := began.Truncate(r.step).Add(-time.Duration(row.back) * r.step)
					if _, err := tx.Exec("INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?)", int(r.step/time.Second), at.UnixMilli(), row.typ, row.rooms, row.people, int(row.watched/time.Second)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
		cfg.Meetings = history.NewRecorder(history.RecorderConfig{Store: store, Directory: cfg.Directory, Level: history.LevelNumbers})
	})
	for i, r := range ranges {
		var doc view.StatsHistory
		if err := json.Unmarshal(s.get("/api/stats/history?range="+r.name).body, &doc); err != nil {
			t.Fatal(err)
		}
		if !time.Now().Truncate(r.step).Equal(began.Truncate(r.step)) {
			t.Skip("a step has ended meanwhile")
		}
		if len(doc.Rooms) != r.steps || len(doc.ParticipantCount) != r.steps || len(doc.Watched) != r.steps || doc.StepSeconds != int(r.step/time.Second) {
			t.Fatalf("%s: got %d steps of %d s want %d", r.name, len(doc.Rooms), doc.StepSeconds, r.steps)
		}
		if want := view.FormatTime(began.Truncate(r.step).Add(-time.Duration(r.steps-1) * r.step)); doc.From != want {
			t.Errorf("%s: got from %s want %s", r.name, doc.From, want)
		}
		type peaks struct {
			rooms, people int
			watched       float64
		}
		want := map[int]peaks{r.steps - 2: {2, 30 + i, 0.5}, r.steps - 4: {0, 0, 1}, 0: {7, 70 + i, 1}}
		if r.name == "30d" {
			want = map[int]peaks{718: {2, 31, 0.5}, 716: {0, 0, 1}, 720 - 168: {7, 71, 1}, 0: {9, 90, 1}}
		}
		for j := range r.steps {
			w, known := want[j]
			switch rooms, count := doc.Rooms[j], doc.ParticipantCount[j]; {
			case !known && (rooms != nil || count != nil || doc.Watched[j] != 0):
				t.Errorf("%s: step %d: got %v rooms, %v people, watched %v, want that they are unknown", r.name, j, rooms, count, doc.Watched[j])
			case known && (rooms == nil || count == nil):
				t.Errorf("%s: step %d: got nothing", r.name, j)
			case known && (peaks{*rooms, *count, doc.Watched[j]}) != w:
				t.Errorf("%s: step %d: got %d rooms, %d people, watched %v, want %+v", r.name, j, *rooms, *count, doc.Watched[j], w)
			}
		}
	}
}
