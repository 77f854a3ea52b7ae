package occupancy_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"mellium.im/xmpp/jid"
	"pgregory.net/rapid"

	"ppch/component/occupancy"
)

// reasons returns the expected reasons of Problem, ReadProblem and EventProblem.
func (h *simulation) reasons() string {
	age := time.Since(h.asOf)
	fresh := h.served != nil && age <= 30*time.Second
	silent := h.served != nil && age > 15*time.Second && !h.asOf.Before(h.status.Since)
	last := slices.MaxFunc([]time.Time{h.heard, h.status.Since}, time.Time.Compare)
	if h.served != nil && h.asOf.After(last) {
		last = h.asOf
	}
	stalled := time.Since(last) > 15*time.Second
	var problem, read, event occupancy.Reason
	switch {
	case h.status.Problem != nil:
		problem = h.status.Problem.Reason
	case !h.status.Connected:
		problem = occupancy.ReasonConnecting
	case h.status.Mode == occupancy.ModeModule && !fresh && (silent || stalled):
		problem = occupancy.ReasonTimeout
	case h.status.Mode == occupancy.ModeModule && !fresh:
		problem = occupancy.ReasonSyncing
	}
	if !fresh {
		read = cmp.Or(problem, occupancy.ReasonModuleMissing)
	}
	event = problem
	if problem == "" {
		switch {
		case h.status.Mode != occupancy.ModeModule:
			event = occupancy.ReasonModuleMissing
		case silent:
			event = occupancy.ReasonTimeout
		case age > 15*time.Second, h.asOf.Before(h.status.Since):
			event = occupancy.ReasonSyncing
		}
	}
	return fmt.Sprintf("%q %q %q", problem, read, event)
}

// check compares the Directory with the model.
func (h *simulation) check(t *rapid.T) {
	domain, err := h.d.Domain(muc)
	if err != nil || problems(domain) != h.reasons() {
		t.Fatalf("got problems %s, %v want %s", problems(domain), err, h.reasons())
	}
	synctest.Wait()
	h.follow(t, h.reference)
	if last := h.reference.domain; last != nil && problems(*last) != problems(domain) || last == nil && problems(domain) != `"connecting" "connecting" "connecting"` {
		t.Fatalf("got the last status %+v, the domain has problems %s", last, problems(domain))
	}
	got, known := read(t, h.d)
	if known != (domain.ReadProblem == nil) {
		t.Fatalf("got %t and the problem %v", known, domain.ReadProblem)
	}
	if _, err := h.d.LiveTotals(); (err == nil) != (domain.EventProblem == nil) {
		t.Fatalf("got live totals %v and the problem %v", err, domain.EventProblem)
	}
	want := h.served.visible()
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(modelRoom{}), cmpopts.EquateEmpty()); known && diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	totals, err := h.d.Totals(muc)
	page, listErr := h.d.Rooms(occupancy.Query{})
	stats, statsErr := h.d.Stats(occupancy.Query{})
	if !known {
		if err == nil || listErr == nil || statsErr == nil {
			t.Fatalf("got %+v, %+v, %+v although the domain can't be read", totals, page, stats)
		}
		return
	}
	if err != nil || listErr != nil || statsErr != nil || stats[0].Rooms != len(page.Rooms) {
		t.Fatalf("got %v, %v, %v, and %+v of what can be read", err, listErr, statsErr, stats)
	}
	var all occupancy.Counts
	most := math.MaxInt
	for _, g := range listed(h.d, occupancy.ByParticipants) {
		if people := countsOf(want[g.Address]).People(); g.Participants != people || people > most {
			t.Fatalf("%s: got %d people in the list after a room of %d, want %d", g.Address, g.Participants, most, people)
		}
		most = g.Participants
	}
	var names []string
	for _, g := range listed(h.d, occupancy.ByName) {
		names = append(names, g.Address)
		h.checkState(t, g)
	}
	sizes := map[int]int{}
	for _, r := range want {
		for i, n := range countsOf(r) {
			all[i] += n
		}
		sizes[countsOf(r).People()]++
	}
	for bound, got := range totals.Sizes.AtMost() {
		fit := 0
		for size, rooms := range sizes {
			if size <= bound {
				fit += rooms
			}
		}
		if got != fit {
			t.Fatalf("got %d rooms of at most %d people, want %d", got, bound, fit)
		}
	}
	if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(names, wanted) || totals.Rooms != len(want) || totals.Counts != all {
		t.Fatalf("got rooms %q and totals %+v, want %q and %v", names, totals, wanted, all)
	}
}

// checkState checks that equal States mean equal rooms.
func (h *simulation) checkState(t *rapid.T, g occupancy.RoomSummary) {
	room, _ := h.d.Room(jid.MustParse(g.Address))
	if alone, _ := h.d.RoomSummary(room.JID); room.Fingerprint != g.Fingerprint || room.AnonymousFingerprint != g.AnonymousFingerprint || alone != g {
		t.Fatalf("%s: got %+v in a list, %+v alone, state %x when read", g.Address, g, alone, room.Fingerprint)
	}
	occupants := make([]occupancy.Occupant, 0, len(room.Occupants))
	for _, record := range room.Occupants {
		o := record.Occupant()
		occupants = append(occupants, o)
	}
	slices.SortFunc(occupants, func(a, b occupancy.Occupant) int { return strings.Compare(a.ID, b.ID) })
	room.AsOf, room.Version, room.Occupants, room.Fingerprint, room.AnonymousFingerprint = time.Time{}, 0, nil, 0, 0
	meeting := "unknown"
	if n := room.MeetingParticipants; n != nil {
		meeting = strconv.Itoa(*n)
	}
	room.MeetingParticipants = nil
	h.checkReading(t, fmt.Sprint(g.Address, " ", g.Fingerprint), fmt.Sprintf("%+v of %+v, meeting of %s", occupants, room, meeting))
	room.Subject = ""
	for i := range room.Breakouts {
		room.Breakouts[i].Name = ""
	}
	h.checkReading(t, fmt.Sprint(g.Address, " without names ", g.AnonymousFingerprint), fmt.Sprintf("%+v, meeting of %s", room, meeting))
}

func (h *simulation) checkReading(t *rapid.T, state, reading string) {
	if before, ok := h.states[state]; ok && before != reading {
		t.Fatalf("one state of two readings:\n%s\n%s", before, reading)
	}
	h.states[state] = reading
}
