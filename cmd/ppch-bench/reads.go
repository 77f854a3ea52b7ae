package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/prosody/prosodytest"
)

// Size of the rooms to read, equal on every server.
const (
	readRooms  = 100
	readPeople = 20
)

// kind is a type of read.
type kind struct {
	name  string
	ours  target
	bare  target   // the limit: the same answer from a handler that does nothing else
	plain target   // for the first kind: the same body with few headers
	peers []target // other servers with the same information
}

// site is all servers, with the same rooms.
type site struct {
	prosody *prosodytest.Server // with the module
	disco   *prosodytest.Server // without
	kinds   []kind
	room    *kind
	count   *kind
	list    *kind
}

// site starts all servers.
func (t *trial) site() (s site) {
	s.prosody = t.fullProsody(readRooms, readPeople, prosodytest.Options{
		Module: true, HideRooms: true, HostModules: map[string][]string{"meet.jitsi": {"prosodytest_room_size"}},
	})
	ours := t.service(s.prosody)
	t.ready(ours)

	// Without the module PPCH asks Prosody for each room, and knows only numbers.
	s.disco = t.fullProsody(readRooms, readPeople, prosodytest.Options{})
	disco := t.service(s.disco)
	t.ready(disco)

	names := url.Values{}
	for i := range readRooms {
		names.Add("name", "room"+strconv.Itoa(1+i))
	}
	withKey, withCountKey := []string{"X-API-Key: " + key}, []string{"X-API-Key: " + countKey}
	everyone, last := fmt.Sprintf("User %d", readPeople), fmt.Sprintf("room%d@", readRooms)
	s.kinds = []kind{
		{name: "a room of 20", ours: target{url: ours.room("room1"), headers: withKey, want: everyone}},
		{name: "the number of a room", ours: target{url: ours.room("room1"), headers: withCountKey, want: `"participant_count":20`}},
		{name: "a list of 100 rooms", ours: target{url: ours.url + "/api/rooms?limit=100", headers: withKey, want: last}},
		{name: "100 rooms by name", ours: target{url: ours.url + "/api/rooms?" + names.Encode(), headers: withKey, want: last}},
		{name: "a room that hasn't changed (304)", ours: target{url: ours.room("room1"), headers: withKey, want: everyone}},
	}
	s.room, s.count, s.list = &s.kinds[0], &s.kinds[1], &s.kinds[2]
	lua, asked := "http://"+s.prosody.HTTPAddr(), "?room=room1&domain="+s.prosody.Domains.Main
	s.room.peers = []target{{name: "Lua route in Prosody", url: lua + "/room" + asked, slow: true, want: everyone}}
	s.count.peers = []target{
		// The Lua route subtracts one occupant as the focus.
		{name: "Lua route in Prosody", url: lua + "/room-size" + asked, slow: true, want: `"participants":19`},
		{name: "PPCH by disco, without its module, up to a second old", ours: true, url: disco.room("room1"), headers: withKey, want: `"participant_count":20`},
	}
	s.list.peers = []target{{name: "Lua census in Prosody", url: lua + "/room-census", slow: true, want: last}}
	var api string
	missing := t.try(func() { api = must(t.ejabberd(readRooms, readPeople))(t) })
	muc := "?service=" + s.prosody.Domains.MUC
	s.room.peers = append(s.room.peers, target{name: "ejabberd", url: api + "/get_room_occupants" + muc + "&name=room1", want: "participant", missing: missing})
	s.count.peers = append(s.count.peers, target{name: "ejabberd", url: api + "/get_room_occupants_number" + muc + "&name=room1", want: `"occupants":20`, missing: missing})
	s.list.peers = append(s.list.peers, target{name: "ejabberd", url: api + "/muc_online_rooms_by_regex" + muc + "&regex=.*", want: last, missing: missing})
	for i := range s.kinds {
		k := &s.kinds[i]
		t.verify(k.ours)
		for j := range k.peers {
			if p := &k.peers[j]; p.missing == nil {
				p.missing = t.try(func() { t.verify(*p) })
			}
		}
	}
	t.bareOnes(s.kinds)
	return s
}

// bareOnes starts the bare handler and sets each kind's limit.
func (t *trial) bareOnes(kinds []kind) {
	var answers []answer
	for i := range kinds {
		k := &kinds[i]
		a := t.ask(k.ours)
		if strings.Contains(k.name, "304") {
			k.ours.headers = append(slices.Clone(k.ours.headers), "If-None-Match: "+a.Header.Get("ETag"))
			if a = t.ask(k.ours); a.Status != http.StatusNotModified {
				t.check(fmt.Errorf("%s: got %d", k.name, a.Status))
			}
		}
		answers = append(answers, a)
	}
	urls := t.bare(append(answers, answers[0].plain())...)
	for i := range kinds {
		kinds[i].bare = target{name: "bare handler", url: urls[i], headers: kinds[i].ours.headers}
	}
	kinds[0].plain = target{name: "bare handler, three headers", url: urls[len(kinds)], headers: kinds[0].ours.headers}
}

// verify ends the trial unless the target's answer is correct: the speed of wrong answers is meaningless.
func (t *trial) verify(to target) {
	if a := t.ask(to); !bytes.Contains(a.Body, []byte(to.want)) {
		t.check(fmt.Errorf("%s: the answer lacks %s:\n%s", to.url, to.want, a.Body))
	}
}

// ask requests a target once.
func (t *trial) ask(to target) answer {
	var headers []string
	for _, h := range to.headers {
		name, value, _ := strings.Cut(h, ": ")
		headers = append(headers, name, value)
	}
	a := must(get(t.ctx, to.url, "", headers...))(t)
	if a.Status >= 300 && a.Status != http.StatusNotModified {
		t.check(fmt.Errorf("%s: got %d\n%s", to.url, a.Status, a.Body))
	}
	return a
}

// reads measures reads over HTTP: answers per second, response times, and Prosody's processor time.
func reads(t *trial) {
	t.title("Reading over HTTP")
	if err := hasWrk(); err != nil {
		t.row(row{What: "all reads"}.missing(err))
		return
	}
	s := t.site()
	t.sleep(t.plan.rest) // until Prosody has collected the garbage of the snapshot
	for _, connections := range t.plan.connections {
		for i := range s.kinds {
			k := &s.kinds[i]
			t.row(t.against(k.name, k.ours, k.bare, connections, t.plan.pairs, atLeast(shareOfLimit(connections))))
			if k == s.room {
				t.row(t.against(k.name, k.ours, k.plain, connections, t.plan.peers, nil))
			}
			for _, p := range k.peers {
				if k == s.list && connections > 16 {
					continue // each answer lists all rooms from scratch, so 256 connections would wait for seconds
				}
				t.row(t.peer(k, p, connections))
			}
		}
	}
	t.burden(s)
}

// shareOfLimit returns the goal for reads, as a share of the bare handler.
func shareOfLimit(connections int) float64 {
	if connections < 100 {
		return 0.8
	}
	return 0.9
}

// peer compares PPCH with a peer, which PPCH has to beat, and adds how far the limit is ahead of that peer.
func (t *trial) peer(k *kind, p target, connections int) row {
	if p.ours {
		return t.against(k.name, k.ours, p, connections, t.plan.peers, nil)
	}
	r := t.against(k.name, k.ours, p, connections, t.plan.peers, atLeast(1))
	if r.Missing == "" {
		r.Limit = t.against(k.name, k.bare, p, connections, t.plan.peers, nil).ratios()
	}
	return r
}

// burden measures the processor time that reads cost Prosody, whose single thread serves the meetings.
func (t *trial) burden(s site) {
	t.title("Cost of reads for Prosody")
	spent := func(of *prosodytest.Server, to target) func() []float64 {
		return func() []float64 {
			before, began := t.cpu(of.PID()), time.Now()
			l := t.wrk(to, 16, t.plan.turn)
			cpu := milliseconds(t.cpu(of.PID()) - before)
			return []float64{cpu / time.Since(began).Seconds(), l.rate / 1000}
		}
	}
	// The bare handler never talks to Prosody but loads the machine as much as PPCH, and a loaded machine makes Prosody's work take longer.
	ours, bare := t.alternate(t.plan.pairs, spent(s.prosody, s.room.ours), spent(s.prosody, s.room.bare))
	excess := ratios(differences(ours[0], bare[0]), ours[1])
	for _, peer := range []struct {
		name string
		of   *prosodytest.Server
		to   target
	}{
		{"Lua route, a room of 20", s.prosody, s.room.peers[0]},
		{"Lua route, the number", s.prosody, s.count.peers[0]},
		{"PPCH by disco, without its module", s.disco, s.count.peers[1]},
	} {
		_, cost := t.alternate(t.plan.peers, func() []float64 { return nil }, spent(peer.of, peer.to))
		t.row(row{
			What: "Prosody's processor time for 1,000 reads, beyond idle", Unit: "ms",
			PPCH: excess, Peer: peer.name, Other: ratios(cost[0], cost[1]), Goal: noExcess(),
		})
	}
}
