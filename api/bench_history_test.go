package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// BenchmarkReads_WhileRecording compares the answers per second of a service whose meetings are recorded with one
// without, in turns, while 400 people join and leave each second.
func BenchmarkReads_WhileRecording(b *testing.B) {
	type side struct {
		d       *apitest.Directory
		addr    string
		answers []float64
	}
	var sides [2]side
	for i := range sides {
		d := town(b)
		sides[i] = side{d: d, addr: serve(b, d.Directory)}
	}
	store := must(history.Open(b.Context(), b.TempDir(), history.Options{}))(b)
	defer store.Close()
	recorder := history.NewRecorder(history.RecorderConfig{Store: store, Directory: sides[1].d.Directory, Level: history.LevelNames, Days: 30})
	done := make(chan error, 1)
	go func() { done <- recorder.Run(b.Context()) }()
	stays := func() (n int) {
		check(b, store.Read(b.Context(), func(tx *history.Tx) error {
			_, err := tx.Get("SELECT COUNT(*) FROM stays", nil, &n)
			return err
		}))
		return n
	}
	present := stays()
	for present < 100_010 {
		select {
		case err := <-done:
			b.Fatalf("the recorder ended after %d stays: %v", present, err)
		case <-time.After(10 * time.Millisecond):
			present = stays()
		}
	}
	request := fmt.Sprintf("GET /api/rooms/room0003/participants HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n\r\n", testKey)
	joined := 0
	for b.Loop() {
		for i := range sides {
			s := &sides[i]
			stop := make(chan struct{})
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
					}
					joined++
					delta := occupancy.Delta{Room: fmt.Sprintf("room%04d@muc.meet.jitsi", 100+joined%1000)}
					for p := range 5 { // 5 join and 5 who joined before leave: 400 changes a second
						delta.Present = append(delta.Present, occupancy.Occupant{ID: fmt.Sprintf("n%07x", joined*5+p), Name: "Person", JoinedAt: time.Now(), RealJID: "a@meet.jitsi/x"})
						delta.Left = append(delta.Left, fmt.Sprintf("n%07x", (joined-1000)*5+p))
					}
					if joined <= 1000 {
						delta.Left = nil
					}
					s.d.Change(delta)
				}
			}()
			s.answers = append(s.answers, load(b, s.addr, request, 500*time.Millisecond))
			close(stop)
			<-stopped
		}
	}
	median := func(all []float64) float64 {
		slices.Sort(all)
		return all[len(all)/2]
	}
	without, with := median(sides[0].answers), median(sides[1].answers)
	b.ReportMetric(without, "answers/s-without")
	b.ReportMetric(with, "answers/s-recording")
	b.ReportMetric(with/without, "ratio")
	b.ReportMetric(float64(stays()-present)/float64(b.N), "stays/op")
}
