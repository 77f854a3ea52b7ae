package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"ppch/component/history"
	"ppch/prosody/prosodytest"
)

// stayed is a stay for pictures: minutes since the meeting began.
type stayed struct {
	person, user, kind, reason string
	from, to, sure             int // to and sure differ if its end has bounds; to is 0 for the meeting's end
	breakout                   bool
}

// workshop is a meeting with all that the attendance can show. PPCH didn't watch from minute 61 to 66.
var workshop = []stayed{
	{person: "Ada Lovelace", user: "ada@example.com", from: 0, to: 31, breakout: false, reason: "moved"},
	{person: "Ada Lovelace", user: "ada@example.com", from: 31, to: 48, breakout: true, reason: "moved"},
	{person: "Ada Lovelace", user: "ada@example.com", from: 48},
	{person: "Grace Hopper", user: "grace@example.com", from: 2, to: 22, reason: "disconnected"},
	{person: "Grace Hopper", user: "grace@example.com", from: 24, to: 66, sure: 61},
	{person: "Анна Каренина", from: 4},
	{person: "Linus", from: 5, to: 31, reason: "moved"},
	{person: "Linus", from: 31, to: 48, breakout: true},
	{person: "+49 30 123456", kind: "sip", from: 7, to: 55, reason: "left"},
	{person: "Charles Babbage", from: 12, to: 14, reason: "kicked"},
	{person: "Barbara Liskov", user: "barbara@example.com", from: 15, to: 66, sure: 61},
	{person: "نور", from: 20},
	{person: "A person with a name that no column can hold in full, however wide", from: 30},
	{person: "", kind: "recorder", from: 3},
}

// writePast fills a data folder with weeks of meetings.
func writePast(t *testing.T, dir string, srv *prosodytest.Server) {
	t.Helper()
	store := must(history.Open(t.Context(), dir, history.Options{}))(t)
	defer store.Close()
	now := time.Now()
	must[any](nil, store.Write(t.Context(), func(tx *history.Tx) error {
		n := 0
		add := func(query string, args ...any) {
			t.Helper()
			if _, err := tx.Exec(query, args...); err != nil {
				t.Fatal(err)
			}
		}
		id := func() []byte { n++; return fmt.Appendf(nil, "%016d", n) }
		meeting := func(room, tenant, typ, parent string, began time.Time, length time.Duration, peak int) int {
			identity := id()
			add(`INSERT INTO meetings (number, id, shard, room, type, tenant, parent, meeting_id, began, ended_after, ended_before, peak) VALUES (?, ?, 'main', ?, ?, ?, ?, NULL, ?, ?, ?, ?)`,
				n, identity, room, typ, tenant, parent, began.UnixMilli(), began.Add(length).UnixMilli(), began.Add(length).UnixMilli(), peak)
			return n
		}
		rooms := []string{"planning", "stand%20up", "physics%202b", "onboarding", "%d0%ba%d0%b0%d1%84%d0%b5", "customer%20call%20weber"}
		for day := 20; day > 1; day-- {
			for i, room := range rooms {
				if (day+i)%3 == 0 {
					continue
				}
				began := now.Truncate(24*time.Hour).AddDate(0, 0, -day).Add(time.Duration(8+i)*time.Hour + time.Duration(day*7%30)*time.Minute)
				if room == "stand%20up" {
					meeting(srv.TenantRoom("acme", room), "acme", "main", "", began, 17*time.Minute, 6)
				} else {
					meeting(srv.Room(room), "", "main", "", began, time.Duration(25+13*(day*i%7))*time.Minute, 2+day*i%19)
				}
			}
		}
		began := now.Add(-26 * time.Hour).Truncate(time.Hour)
		main := meeting(srv.Room("workshop"), "", "main", "", began, 92*time.Minute, 9)
		breakout := meeting("7d1f@"+srv.Domains.Breakout, "", "breakout", srv.Room("workshop"), began.Add(31*time.Minute), 17*time.Minute, 2)
		at := func(minute int) int64 { return began.Add(time.Duration(minute) * time.Minute).UnixMilli() }
		for _, s := range workshop {
			in, kind := main, s.kind
			if s.breakout {
				in = breakout
			}
			if kind == "" {
				kind = "user"
			}
			if s.to == 0 {
				s.to = 92
			}
			if s.sure == 0 {
				s.sure = s.to
			}
			add(`INSERT INTO stays (id, meeting, kind, joined, left_after, left_before, nick, name, user_id, reason) VALUES (?, ?, ?, ?, ?, ?, 'a1b2c3d4', NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''))`,
				id(), in, kind, at(s.from), at(s.sure), at(s.to), s.person, s.user, s.reason)
		}
		add(`INSERT INTO gaps (domain, began, ended, reason) VALUES (?, ?, ?, 'stopped')`, srv.Domains.MUC, at(61), at(66))
		for _, step := range []time.Duration{5 * time.Minute, time.Hour} {
			keep := map[time.Duration]time.Duration{5 * time.Minute: 24 * time.Hour, time.Hour: 30 * 24 * time.Hour}[step]
			for back := keep; back > 0; back -= step {
				when := now.Add(-back).Truncate(step)
				if back > 19*24*time.Hour && back < 20*24*time.Hour {
					continue // not watched
				}
				hour := float64(when.Hour()) + float64(when.Minute())/60
				busy := math.Max(0, math.Sin((hour-6)/13*math.Pi))
				if day := when.Weekday(); step == time.Hour && (day == time.Saturday || day == time.Sunday) {
					busy /= 6
				}
				people := int(busy*(52+9*math.Sin(hour*3))) + when.Day()%4
				add(`INSERT INTO rollups VALUES (?, ?, 'main', ?, ?, ?)`, int64(step/time.Second), when.UnixMilli(), people/5+1, people, int64(step/time.Second))
			}
		}
		return nil
	}))(t)
}
