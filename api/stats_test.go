package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/componenttest"
)

// counted has the fields of the history that these tests check.
type counted struct {
	Rooms            []*int    `json:"rooms"`
	ParticipantCount []*int    `json:"participant_count"`
	From             time.Time `json:"from"`
	AsOf             time.Time `json:"as_of"`
}

// past requests the history of s, without a network.
func (s *service) past(header http.Header) (counted, *httptest.ResponseRecorder) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/stats/history", nil)
	maps.Copy(r.Header, header)
	r.Header.Set("X-API-Key", testKey)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	var got counted
	if w.Code == http.StatusOK {
		check(s.t, json.Unmarshal(w.Body.Bytes(), &got))
	}
	return got, w
}

// numbers returns a list as text, with a dash for null.
func numbers(list []*int) string {
	text := ""
	for _, n := range list {
		if n == nil {
			text += "- "
		} else {
			text += fmt.Sprint(*n) + " "
		}
	}
	return text
}

// playing runs play and a history of d in virtual time, which begins at a full minute.
func playing(t *testing.T, play func(d *apitest.Directory, s *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t, mainDomain, breakoutDomain, lobbyDomain)
		s := prepare(t, withDirectory(d.Directory))
		stop := componenttest.Run(t, s.RunHistory)
		time.Sleep(100 * time.Millisecond) // so that no sample coincides with an event
		play(d, s)
		stop()
		_ = s.CloseListener()
	})
}

// rest waits while heartbeats arrive.
func rest(d *apitest.Directory, lasts time.Duration) {
	for ; lasts > 0; lasts -= time.Second {
		time.Sleep(min(lasts, time.Second))
		d.Heartbeat()
	}
}

// withHistory prepares a service for playHistory.
func withHistory(cfg *api.Config) {
	stage = apitest.NewDirectory(panicker{}, mainDomain, breakoutDomain, lobbyDomain)
	withDirectory(stage.Directory)(cfg)
}

// playHistory plays the minute in the example of the history.
func playHistory(s *service) {
	began := now.Truncate(time.Minute).Add(-time.Minute)
	for second := -5; second <= 60; second++ {
		switch second {
		case 20:
			stage.LoadPeople(mainDomain, 2)
		case 35:
			stage.Lose(away)
		case 40:
			stage.Connect(time.Time{})
		case 50:
			stage.LoadPeople(mainDomain, 3)
			stage.LoadPeople(breakoutDomain, 1)
		case 55:
			stage.LoadPeople(mainDomain, 2)
		}
		s.LookBack(began.Add(time.Duration(second) * time.Second))
	}
}

func TestHistory_PeakOfEachStep(t *testing.T) {
	playing(t, func(d *apitest.Directory, s *service) {
		rest(d, 20*time.Second) // the beginning of the first step was not sampled
		d.LoadPeople(mainDomain, 2, 5)
		rest(d, 2*time.Second)
		d.LoadPeople(mainDomain, 1, 1, 1)
		rest(d, 23*time.Second)
		d.LoadPeople(mainDomain)
		rest(d, 15*time.Second)
		got, _ := s.past(nil)
		if rooms, people := numbers(got.Rooms), numbers(got.ParticipantCount); rooms != "3 3 3 " || people != "7 3 3 " {
			t.Errorf("got %s rooms and %s people, want the peak of 7 people, and of 3 rooms later", rooms, people)
		}
		rest(d, 15*time.Second)
		if got, _ = s.past(nil); numbers(got.ParticipantCount) != "7 3 3 0 " {
			t.Errorf("got %s, want 0 after a whole step without people", numbers(got.ParticipantCount))
		}
	})
}

func TestHistory_UnknownStepsAreNull(t *testing.T) {
	for _, c := range []struct {
		name  string
		while func(d *apitest.Directory)
		want  string
	}{
		{"the stream is lost for a moment", func(d *apitest.Directory) {
			d.Lose(away)
			rest(d, 2*time.Second)
			d.Connect(time.Time{})
			rest(d, 13*time.Second)
		}, "4 - 4 4 "},
		{"one of the domains is unloaded", func(d *apitest.Directory) {
			d.Forget(breakoutDomain)
			time.Sleep(2 * time.Second)
			d.LoadPeople(breakoutDomain)
			rest(d, 13*time.Second)
		}, "4 - 4 4 "},
		{"Prosody is silent, and the data gets old", func(*apitest.Directory) { time.Sleep(30 * time.Second) }, "4 4 - - 4 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			playing(t, func(d *apitest.Directory, s *service) {
				d.LoadPeople(mainDomain, 4)
				rest(d, 31*time.Second)
				c.while(d)
				d.Heartbeat()
				rest(d, 15*time.Second-time.Duration(time.Now().Second()%15)*time.Second)
				rest(d, 15*time.Second)
				got, _ := s.past(nil)
				if people := numbers(got.ParticipantCount); people != c.want {
					t.Errorf("got %s people, want %s", people, c.want)
				}
			})
		})
	}
}

func TestHistory_LastsAnHour(t *testing.T) {
	playing(t, func(d *apitest.Directory, s *service) {
		for people := range 3 {
			d.LoadPeople(mainDomain, people)
			rest(d, 40*time.Minute)
		}
		got, _ := s.past(nil)
		if len(got.Rooms) != 240 || got.AsOf.Sub(got.From) != time.Hour || time.Since(got.AsOf) >= 15*time.Second {
			t.Errorf("got %d steps, from %v as of %v", len(got.Rooms), got.From, got.AsOf)
		}
		people := got.ParticipantCount
		if len(people) != 240 || numbers(people[:1]) != "1 " || numbers(people[239:]) != "2 " {
			t.Errorf("got %s people, want 1 in the first of 240 steps and 2 in the last", numbers(people))
		}
	})
}

func TestHistory_ETagChangesWithSteps(t *testing.T) {
	playing(t, func(d *apitest.Directory, s *service) {
		rest(d, 30*time.Second)
		_, first := s.past(nil)
		has := http.Header{"If-None-Match": {first.Header().Get("ETag")}}
		rest(d, 14*time.Second)
		if _, w := s.past(has); w.Code != http.StatusNotModified || w.Header().Get("PPCH-As-Of") != first.Header().Get("PPCH-As-Of") {
			t.Errorf("within a step got %d", w.Code)
		}
		rest(d, time.Second)
		if got, w := s.past(has); w.Code != http.StatusOK || len(got.Rooms) != 2 {
			t.Errorf("after it got %d %s", w.Code, w.Body)
		}
	})
}

// If the machine sleeps or its clock is set, steps without samples are null.
func TestHistory_MissedSamplesAreNull(t *testing.T) {
	began := now.Truncate(time.Minute)
	// seconds returns the times of samples.
	seconds := func(from, to int) (at []int) {
		for ; from <= to; from++ {
			at = append(at, from)
		}
		return at
	}
	for _, c := range []struct {
		name string
		at   []int // in seconds
		want string
	}{
		{"every second", seconds(0, 60), "1 1 1 "},
		{"a gap of four seconds within a step", slices.Concat(seconds(0, 32), seconds(37, 60)), "1 - 1 "},
		{"a gap of four seconds across two steps", slices.Concat(seconds(0, 42), seconds(47, 75)), "1 - - 1 "},
		{"a gap of two minutes", slices.Concat(seconds(0, 44), seconds(165, 210)), "1 - - - - - - - - - - 1 1 "},
		{"a gap of two hours", slices.Concat(seconds(0, 44), seconds(7200, 7230)), "1 "},
		{"the clock is set back by a minute", slices.Concat(seconds(0, 100), seconds(40, 75)), "1 1 "},
		{"the clock is set back by a second", slices.Concat(seconds(0, 50), seconds(49, 75)), "1 1 - 1 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := apitest.NewDirectory(t, mainDomain, breakoutDomain, lobbyDomain)
			d.LoadPeople(mainDomain, 1)
			s := prepare(t, withDirectory(d.Directory))
			for _, second := range c.at {
				s.LookBack(began.Add(time.Duration(second) * time.Second))
			}
			got, _ := s.past(nil)
			if numbers(got.ParticipantCount) != c.want {
				t.Errorf("got %q, want %q", numbers(got.ParticipantCount), c.want)
			}
			_ = s.CloseListener()
		})
	}
}
