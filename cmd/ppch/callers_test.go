package main

import (
	"context"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Prosody has one thread, which the meetings need: two hundred callers must cost it no more than one.
//
// This test is not parallel, because it uses the whole processor.
func TestRooms_ManyCallersShareOneRequest(t *testing.T) {
	srv := prosodytest.New(t, prosodytest.Options{LogLevel: "debug"})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Bob")
	s := runService(t, envFor(srv)).ready()

	// Prosody logs the start tag of each stanza, with the attributes in any order.
	question := regexp.MustCompile(`Received\[component\]: <iq [^>]*to='planning@muc\.meet\.jitsi'`)
	questions := func() int { return len(question.FindAllString(srv.Log(), -1)) }
	before := questions()

	const callers = 200
	var answered, wrong atomic.Int64
	var asking sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := time.Now()
	for range callers {
		asking.Go(func() {
			for ctx.Err() == nil {
				// Not ctx: a caller that gives up early does not count.
				got, err := s.try(context.Background(), "/api/rooms/Planning/participants", "X-API-Key", testKey)
				answered.Add(1)
				if err != nil || got.status != 200 || got.data["participant_count"] != 3.0 {
					wrong.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	asking.Wait()
	took := time.Since(began)

	if answered.Load() < 3*callers || wrong.Load() > 0 {
		t.Errorf("got %d responses, %d wrong, want several correct ones for each caller", answered.Load(), wrong.Load())
	}
	got := questions() - before
	if most := int(took/time.Second) + 1; got < 2 || got > most {
		t.Errorf("Prosody got %d requests in %s from %d callers with %d requests, want one a second, at most %d", got, took, callers, answered.Load(), most)
	}
}
