package history_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// BenchmarkAttendance_MillionStays measures one meeting's report from a file with a million stays in 50,000 meetings,
// by how much reading makes the process grow (MiB), and by how much recording into this file does (MiB-recording). The goal is 30 MiB.
func BenchmarkAttendance_MillionStays(b *testing.B) {
	const meetings, people = 50_000, 20
	dir := b.TempDir()
	s, err := history.Open(b.Context(), dir, history.Options{})
	check(b, err)
	began := time.Now().AddDate(0, 0, -30)
	for first := 0; first < meetings; first += 1000 {
		err := s.Write(b.Context(), func(tx *history.Tx) error {
			for i := first; i < first+1000; i++ {
				room := fmt.Sprintf("room%d@muc.meet.jitsi", i%2000)
				at := began.Add(time.Duration(i) * time.Minute / 2)
				id := history.MeetingID("main", room, at)
				if _, err := tx.Exec(`INSERT INTO meetings (number, id, shard, room, type, tenant, began, ended_after, ended_before, peak) VALUES (?, ?, 'main', ?, 'main', '', ?, ?, ?, 20)`,
					i+1, id[:], room, at.UnixMilli(), at.Add(time.Hour).UnixMilli(), at.Add(time.Hour).UnixMilli()); err != nil {
					return err
				}
				for p := range people {
					nick := fmt.Sprintf("%08x", i*people+p)
					stay := history.StayID(id, nick, at)
					if _, err := tx.Exec(`INSERT INTO stays (id, meeting, kind, joined, left_after, left_before, nick, name, user_id) VALUES (?, ?, 'user', ?, ?, ?, ?, ?, ?)`,
						stay[:], i+1, at.UnixMilli(), at.Add(time.Hour).UnixMilli(), at.Add(time.Hour).UnixMilli(), nick, "Person "+nick, "user-"+strconv.Itoa((i*7+p)%30_000)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		check(b, err)
	}
	s.Close()
	debug.FreeOSMemory() // which writing that much took
	before := resident(b)
	s = must(history.Open(b.Context(), dir, history.Options{}))(b)
	defer s.Close()
	list, _, err := s.Meetings(b.Context(), history.MeetingFilter{Limit: 1000})
	check(b, err)
	for i := 0; b.Loop(); i++ {
		a, err := s.Attendance(context.Background(), list[i*37%len(list)].ID)
		if err != nil || len(a.Attendees) != people {
			b.Fatalf("got %d attendees, %v", len(a.Attendees), err)
		}
	}
	b.ReportMetric(float64(resident(b)-before)/(1<<20), "MiB")
	b.ReportMetric(float64(recordingMemory(b, s))/(1<<20), "MiB-recording")
	b.ReportMetric(float64(s.Size())/(1<<20), "MiB-file")
}

// recordingMemory returns by how much recording makes the process grow: 10,000 people in 2,000 rooms, of whom 400 join or leave each second.
func recordingMemory(b *testing.B, s *history.Store) int64 {
	b.Helper()
	d := occupancy.NewDirectory(muc)
	shard := d.Shard(occupancy.DefaultShard)
	shard.SetStatus(muc, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
	next := 0
	people := func(n int) (all []occupancy.Occupant) {
		for range n {
			next++
			id := fmt.Sprintf("%08x", next)
			all = append(all, occupancy.Occupant{ID: id, Name: "Person " + id, RealJID: id + "@meet.jitsi/web", JoinedAt: time.Now(), Stamp: time.Now(), UserID: "user-" + id})
		}
		return all
	}
	var rooms []occupancy.Delta
	for i := range 2000 {
		rooms = append(rooms, occupancy.Delta{Room: fmt.Sprintf("room%d@muc.meet.jitsi", i), New: true, Facts: &occupancy.RoomFacts{CreatedAt: time.Now(), Stamp: time.Now()}, Present: people(5)})
	}
	apply := func(deltas ...occupancy.Delta) {
		b.Helper()
		check(b, shard.Apply(muc, occupancy.Batch{Deltas: deltas, Synced: true, Rooms: 2000, Occupants: 10_000}, time.Now()))
	}
	shard.Begin(muc, occupancy.SystemAccounts{})
	apply(rooms...)
	churn := func(times int) {
		for range times {
			var deltas []occupancy.Delta
			for i := range 5 {
				room := &rooms[(next+i)%len(rooms)]
				come := people(1)
				deltas = append(deltas, occupancy.Delta{Room: room.Room, Left: []string{room.Present[0].ID}, Present: come})
				room.Present = append(room.Present[1:], come...)
			}
			apply(deltas...)
			time.Sleep(25 * time.Millisecond)
		}
	}
	churn(200)
	debug.FreeOSMemory()
	before := resident(b)
	r := history.NewRecorder(history.RecorderConfig{Store: s, Directory: d, Level: history.LevelNames, Days: 365})
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	count := func() (n int) {
		check(b, s.Read(b.Context(), func(tx *history.Tx) error {
			_, err := tx.Get("SELECT COUNT(*) FROM stays WHERE left_before IS NULL", nil, &n)
			return err
		}))
		return n
	}
	for count() < 10_000 {
		time.Sleep(10 * time.Millisecond)
	}
	churn(800)
	grown := resident(b) - before
	stop()
	check(b, <-done)
	return grown
}

// resident returns the resident memory of this process.
func resident(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n := must(strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64))(b)
			return n << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
