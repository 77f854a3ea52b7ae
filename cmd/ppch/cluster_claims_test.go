package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ppch/api/view"
)

// clusterSlack is the tolerance of as_of on a node. A service estimates the clock of the one from which it receives to at most a second.
const clusterSlack = time.Second + slack

// clusterStaleness is PPCH_MAX_STALENESS of all services.
const clusterStaleness = 15 * time.Second

// claim is an answer of a service: about a room, on one shard if that is not empty, or about all rooms.
type claim struct {
	by          *clusterService
	room, shard string
	asked, at   time.Time
	body        string
	doc         view.Room
	stats       view.Stats
	asOf        time.Time // by the test's clock
}

// decode reads the body.
func (c *claim) decode() (err error) {
	to, asOf := any(&c.doc), &c.doc.AsOf
	if c.room == "" {
		to, asOf = &c.stats, &c.stats.AsOf
	}
	if err = json.Unmarshal([]byte(c.body), to); err == nil {
		c.asOf, err = c.time(asOf)
	}
	return err
}

// time returns a time of the answer by the test's clock.
func (c *claim) time(text *string) (time.Time, error) {
	t, err := view.ParseTime(text)
	return t.Add(-c.by.skew), err
}

// check compares each answer with what the people know.
func (w *clusterWorld) check() {
	wrongs, inexact := 0, 0
	for _, c := range w.claims {
		if c.room != "" && !c.doc.Exact {
			inexact++
		}
		if wrong := w.contradicts(c); wrong != "" {
			if wrongs++; wrongs <= 5 {
				w.t.Errorf("%s at %s (as of %s): %s\n%s", c.by.name, c.at.Format("05.000"), c.asOf.Format("05.000"), wrong, c.body)
			}
		}
	}
	if wrongs > 0 {
		slices.Sort(w.faults)
		w.t.Errorf("%d answers were false; the faults:\n%s", wrongs, strings.Join(w.faults, "\n"))
		for _, s := range w.services {
			w.t.Logf("%s:\n%s", s.name, s.log.String())
		}
	}
	if len(w.claims) < 100 {
		w.t.Errorf("only %d answers were checked", len(w.claims))
	}
	w.t.Logf("%d answers were true when they said so, %d of them without a shard; %d times the number was unknown; %d faults", len(w.claims)-wrongs, inexact, w.unknown, len(w.faults))
}

// contradicts returns why an answer is false, or an empty text.
func (w *clusterWorld) contradicts(c claim) string {
	if c.asOf.Before(c.asked.Add(-clusterStaleness - clusterSlack)) {
		return "it is older than PPCH_MAX_STALENESS"
	}
	switch {
	case c.room == "":
		return w.contradictsTotals(c)
	case c.shard != "":
		s := w.shard(c.shard)
		to := c.asOf
		if s.kind == "main" {
			to = c.at // as_of is that of the visitors if these are older
		}
		if !s.room(c.room).was(c.doc.Exists, peopleIn(c.doc.Occupants), c.asOf.Add(-clusterSlack), to.Add(clusterSlack)) {
			return "it wasn't so:" + s.room(c.room).around(c.asOf)
		}
		return s.wasAway(c)
	}
	if c.doc.Exact != (len(c.doc.UnknownShards) == 0) {
		return "exact contradicts unknown_shards"
	}
	people := strings.Fields(peopleIn(c.doc.Occupants))
	known := 0
	for _, s := range w.shards {
		if s.kind == "visitors" {
			if wrong := s.contradictsVisitors(c); wrong != "" {
				return wrong
			}
			continue
		}
		here := slices.DeleteFunc(slices.Clone(people), func(nick string) bool { return !s.room(c.room).ever[nick] })
		known += len(here)
		if wrong := s.contradictsPart(c, strings.Join(here, " ")); wrong != "" {
			return "shard " + s.name + ": " + wrong
		}
	}
	if known != len(people) || known != c.doc.ParticipantCount {
		return "it has people who were never there, or not all who are counted"
	}
	return ""
}

// contradictsPart returns why an answer is false about a room on this shard, with these people.
func (s *clusterShard) contradictsPart(c claim, people string) string {
	exists := c.doc.Exists && c.doc.Shard != nil && *c.doc.Shard == s.name
	from, to := c.asOf, c.at // the answer is at most as old as its oldest part
	for _, p := range c.doc.Parts {
		if p.Shard != s.name {
			continue
		}
		exists = true
		asOf, err := c.time(&p.AsOf)
		if err != nil || p.ParticipantCount != len(strings.Fields(people)) {
			return "its part is not the people there"
		}
		from, to = asOf, asOf
	}
	if slices.Contains(c.doc.UnknownShards, s.name) {
		if exists || people != "" {
			return "it has people on an unknown shard"
		}
		return ""
	}
	if r := s.room(c.room); !r.was(exists, people, from.Add(-clusterSlack), to.Add(clusterSlack)) {
		return fmt.Sprintf("it was never %t with [%s] from %s to %s:%s", exists, people, from.Format("05.000"), to.Format("05.000"), r.around(from))
	}
	return s.wasAway(c)
}

// wasAway returns that an answer includes this shard at a time at which its Prosody didn't run, although it wasn't back when the answer came.
func (s *clusterShard) wasAway(c claim) string {
	for _, m := range s.away {
		if c.at.Before(m.to) && c.asOf.After(m.from.Add(clusterSlack)) {
			return fmt.Sprintf("Prosody %s was away from %s to %s", s.name, m.from.Format("05.000"), m.to.Format("05.000"))
		}
	}
	return ""
}

// contradictsVisitors returns why the number of visitors is false.
func (s *clusterShard) contradictsVisitors(c claim) string {
	if c.doc.Visitors == nil {
		return ""
	}
	least, most := s.room(c.room).between(c.at.Add(-clusterStaleness-clusterSlack), c.at)
	if *c.doc.Visitors < least || *c.doc.Visitors > most {
		return fmt.Sprintf("there were %d to %d visitors", least, most)
	}
	return ""
}

// contradictsTotals returns why totals are false.
func (w *clusterWorld) contradictsTotals(c claim) string {
	least, most := 0, 0
	for _, s := range w.shards {
		if s.kind == "visitors" {
			continue
		}
		if wrong := s.wasAway(c); wrong != "" {
			return wrong
		}
		for _, r := range s.rooms {
			a, b := r.between(c.asOf.Add(-clusterSlack), c.at)
			least, most = least+a, most+b
		}
	}
	if n := c.stats.ParticipantCount; n < least || n > most {
		return fmt.Sprintf("there were %d to %d people", least, most)
	}
	return ""
}

// between returns the smallest and the largest number of people between two times.
func (r *roomActor) between(from, to time.Time) (least, most int) {
	least = 1 << 30
	for i, s := range r.history {
		if s.began.After(to) {
			break
		}
		if i+1 < len(r.history) && r.history[i+1].sure.Before(from) {
			continue
		}
		n := len(strings.Fields(s.people))
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

func (w *clusterWorld) shard(name string) *clusterShard {
	return w.shards[slices.IndexFunc(w.shards, func(s *clusterShard) bool { return s.name == name })]
}

// room returns a room of the shard.
func (s *clusterShard) room(name string) *roomActor {
	return s.rooms[slices.IndexFunc(s.rooms, func(r *roomActor) bool { return r.name == name })]
}
