package occupancy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// page returns a room of size occupants as decoded from a batch: their strings share one text.
func page(room, size int) occupancy.Delta {
	var text strings.Builder
	for i := range size {
		fmt.Fprintf(&text, "%08x\t%08x-1f2e-4d3c-8b9a-%012x@meet.jitsi/AbCdEfGh_%04x\tparticipant\tnone\tPerson Number %04d\thttps://example.com/avatars/%08x.png\n",
			room<<12+i, room, i, i, i, i)
	}
	d := fullRoom(fmt.Sprintf("room-%05d@muc.meet.jitsi", room))
	for line := range strings.Lines(text.String()) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		d.Present = append(d.Present, occupancy.Occupant{
			ID: f[0], RealJID: f[1], Role: f[2], Affiliation: f[3], Name: f[4], AvatarURL: f[5],
			JoinedAt: at(room), Flags: occupancy.FlagAudioMuted | occupancy.FlagVideoOn,
		})
	}
	return d
}

// fill loads rooms of size occupants each into d.
func fill(tb testing.TB, d *occupancy.Directory, rooms, size int) {
	prosody := mainOf(d)
	prosody.Begin(muc, jitsi)
	for i := range rooms {
		check(tb, prosody.Apply(muc, occupancy.Batch{Deltas: []occupancy.Delta{page(i, size)}}, at(0)))
	}
	check(tb, prosody.Apply(muc, synced(rooms, rooms*size), at(0)))
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkMemory holds 100,000 occupants in rooms of several sizes, then loads a second replica as a resync does.
func BenchmarkMemory(b *testing.B) {
	const occupants = 100_000
	for _, size := range []int{5, 20, 500} {
		b.Run(fmt.Sprintf("rooms of %d", size), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				d := newDirectory(muc)
				prosody := mainOf(d)
				fill(b, d, occupants/size, size)
				once := heap()
				prosody.Begin(muc, jitsi)
				for i := range occupants / size {
					_ = prosody.Apply(muc, occupancy.Batch{Deltas: []occupancy.Delta{page(i, size)}}, at(0))
				}
				twice := heap()
				b.ReportMetric(float64(once-before)/occupants, "bytes/occupant")
				b.ReportMetric(float64(twice-once)/occupants, "bytes/occupant-resync")
				runtime.KeepAlive(d)
			}
		})
	}
}

// BenchmarkApply changes one occupant, of few and of many.
func BenchmarkApply(b *testing.B) {
	for _, n := range []struct{ rooms, size int }{{1, 10}, {10_000, 10}, {1, 1000}, {200, 500}} {
		b.Run(fmt.Sprintf("%d rooms of %d", n.rooms, n.size), func(b *testing.B) {
			d := newDirectory(muc)
			prosody := mainOf(d)
			fill(b, d, n.rooms, n.size)
			s := d.Subscribe(1)
			defer s.Close()
			room := fmt.Sprintf("room-%05d@muc.meet.jitsi", n.rooms/2)
			person := page(n.rooms/2, n.size).Present[0]
			total := n.rooms * n.size
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				person.Flags ^= occupancy.FlagHandRaised
				check(b, prosody.Apply(muc, synced(n.rooms, total, roomUpdate(room, nil, person)), at(i)))
				select {
				case <-s.Events():
				default:
					b.Fatal("no event")
				}
			}
		})
	}
}

// BenchmarkJoin lets an occupant join and leave a room, in turn one of 100 and one of 10,000, with one subscriber.
// It reports the shortest time for each number of rooms, which excludes interruptions, and the ratio of the two.
func BenchmarkJoin(b *testing.B) {
	const turns = 1000
	crowd := []int{100, 10_000}
	change := func(rooms int) func() {
		d := newDirectory(muc)
		prosody := mainOf(d)
		fill(b, d, rooms, 10)
		s := d.Subscribe(2)
		b.Cleanup(s.Close)
		extra := page(rooms/2, 11).Present[10]
		comes := occupancy.Delta{Room: page(rooms/2, 0).Room, Present: []occupancy.Occupant{extra}}
		leaves := occupancy.Delta{Room: comes.Room, Left: []string{extra.ID}}
		return func() {
			check(b, prosody.Apply(muc, synced(rooms, 10*rooms+1, comes), at(1)))
			check(b, prosody.Apply(muc, synced(rooms, 10*rooms, leaves), at(1)))
			<-s.Events()
			<-s.Events()
		}
	}
	few, many := change(crowd[0]), change(crowd[1])
	shortest := [...]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, once := range []func(){few, many} {
			began := time.Now()
			for range turns {
				once()
			}
			shortest[i] = min(shortest[i], time.Since(began)/(2*turns))
		}
	}
	b.ReportMetric(float64(shortest[0].Nanoseconds()), "ns/change-of-100")
	b.ReportMetric(float64(shortest[1].Nanoseconds()), "ns/change-of-10000")
	b.ReportMetric(float64(shortest[1])/float64(shortest[0]), "ratio")
}

// BenchmarkResync compares two equal replicas of 100,000 occupants and measures the swap.
func BenchmarkResync(b *testing.B) {
	const rooms, size = 5_000, 20
	d := newDirectory(muc)
	prosody := mainOf(d)
	fill(b, d, rooms, size)
	deltas := make([]occupancy.Delta, rooms)
	for i := range deltas {
		deltas[i] = page(i, size)
	}
	for b.Loop() {
		prosody.Begin(muc, jitsi)
		for i := range deltas {
			_ = prosody.Apply(muc, occupancy.Batch{Deltas: deltas[i : i+1]}, at(0))
		}
		start := time.Now()
		check(b, prosody.Apply(muc, synced(rooms, rooms*size), at(0)))
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/swap")
	}
}

// BenchmarkRoom reads a room from many goroutines.
func BenchmarkRoom(b *testing.B) {
	d := newDirectory(muc)
	fill(b, d, 1000, 20)
	room := jid.MustParse("room-00500@muc.meet.jitsi")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r, err := d.Room(room); err != nil || len(r.Occupants) != 20 {
				b.Error(r, err)
			}
		}
	})
}

// BenchmarkPage reads the first 100 of 10,000 rooms: without a change, and after each join or leave.
func BenchmarkPage(b *testing.B) {
	d := newDirectory(muc)
	prosody := mainOf(d)
	fill(b, d, 10_000, 10)
	first := func(b *testing.B) {
		if page, err := d.Rooms(occupancy.Query{By: occupancy.ByParticipants, Limit: 100}); err != nil || len(page.Rooms) != 100 || page.Last == nil {
			b.Fatal(len(page.Rooms), page.Last, err)
		}
	}
	b.Run("quiet", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			first(b)
		}
	})
	b.Run("after a change", func(b *testing.B) {
		b.ReportAllocs()
		last := page(0, 11).Present[10]
		comes := occupancy.Delta{Room: page(0, 0).Room, Present: []occupancy.Occupant{last}}
		leaves := occupancy.Delta{Room: comes.Room, Left: []string{last.ID}}
		for b.Loop() {
			check(b, prosody.Apply(muc, synced(10_000, 100_001, comes), at(1)))
			first(b)
			check(b, prosody.Apply(muc, synced(10_000, 100_000, leaves), at(1)))
			first(b)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	d := newDirectory(muc)
	prosody := mainOf(d)
	prosody.Begin(muc, jitsi)
	var deltas []occupancy.Delta
	for i := range 1000 {
		var people []occupancy.Occupant
		for j := range 20 {
			people = append(people, person(string(rune('a'+j)), 1))
		}
		deltas = append(deltas, fullRoom("r"+time.Duration(i).String()+"@muc.meet.jitsi", people...))
	}
	check(b, prosody.Apply(muc, synced(1000, 20000, deltas...), at(1)))
	for b.Loop() {
		d.Snapshot()
	}
}

// BenchmarkShards reads a room, a summary and the first 100 rooms of one shard, and of 20 with as many rooms each.
func BenchmarkShards(b *testing.B) {
	for _, n := range []int{1, 20} {
		d := newDirectory()
		for i := range n {
			s, err := d.AddShard(occupancy.ShardConfig{Name: fmt.Sprint("s", i), Domains: []jid.JID{muc}})
			check(b, err)
			s.Begin(muc, jitsi)
			for r := range 1000 {
				check(b, s.Apply(muc, occupancy.Batch{Deltas: []occupancy.Delta{page(1000*i+r, 10)}}, at(0)))
			}
			check(b, s.Apply(muc, synced(1000, 10_000), at(0)))
		}
		room := jid.MustParse("room-00500@muc.meet.jitsi")
		for name, read := range map[string]func() error{
			"a room":    func() error { _, err := d.Room(room); return err },
			"a summary": func() error { _, err := d.RoomSummary(room); return err },
			"100 rooms": func() error { _, err := d.Rooms(occupancy.Query{Limit: 100}); return err },
		} {
			b.Run(fmt.Sprintf("%s, %d shards", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					check(b, read())
				}
			})
		}
	}
}
