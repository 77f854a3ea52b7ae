package history_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// older writes the file of a PPCH whose last migration was the one with a number, with a meeting that goes on: Ann is there and Bob has left.
func older(t *testing.T, dir string, version int) {
	t.Helper()
	names := must(filepath.Glob("migrations/*.sql"))(t)
	slices.Sort(names)
	db := must(sql.Open("sqlite", filepath.Join(dir, "ppch.db")))(t)
	defer db.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		must(db.Exec(query, args...))(t)
	}
	for _, name := range names[:version] {
		exec(string(must(os.ReadFile(name))(t)))
	}
	exec(fmt.Sprintf("PRAGMA application_id = 0x50504348; PRAGMA user_version = %d", version))
	meeting := history.MeetingID("main", "daily@muc.meet.jitsi", at(1))
	exec("INSERT INTO domains VALUES ('muc.meet.jitsi', ?)", at(10).UnixMilli())
	exec("INSERT INTO gaps VALUES (1, 'muc.meet.jitsi', ?, ?, 'stopped')", at(3).UnixMilli(), at(4).UnixMilli())
	exec("INSERT INTO meetings VALUES (1, ?, 'main', 'daily@muc.meet.jitsi', 'main', '', NULL, NULL, ?, NULL, NULL, 2)", meeting[:], at(1).UnixMilli())
	exec("INSERT INTO open_rooms VALUES ('daily@muc.meet.jitsi', 'muc.meet.jitsi', 'main', ?, ?, '', 1)", at(1).UnixMilli(), meeting[:])
	for i, nick := range []string{"ann", "bob"} {
		id := history.StayID(meeting, nick, at(2+i))
		var left any
		if nick == "bob" {
			left = at(8).UnixMilli()
		} else {
			exec("INSERT INTO present (room, nick, joined_stamp, kind, id, stay) VALUES ('daily@muc.meet.jitsi', 'ann', ?, 'user', ?, 1)", at(2).UnixMilli(), id[:])
		}
		exec("INSERT INTO stays (number, id, meeting, kind, joined, left_after, left_before, nick, name, user_id) VALUES (?1, ?2, 1, 'user', ?3, ?4, ?4, ?5, ?6, ?7)",
			i+1, id[:], at(2+i).UnixMilli(), left, nick, strings.ToUpper(nick), "user-"+nick)
	}
	exec("INSERT INTO accesses VALUES (1, ?, 'ops', 'attendance', ?, NULL)", at(5).UnixMilli(), meeting[:])
	exec("INSERT INTO rollups VALUES (300, ?, 'main', 1, 2, 300)", at(0).UnixMilli())
	if version >= 2 {
		exec("INSERT INTO webhooks (owner, id, settings, secret, created) VALUES (x'01', 'chat', '{}', 'whsec_x', ?)", at(5).UnixMilli())
		exec("INSERT INTO messages (event, type, room, at, created, path, content_type, body) VALUES ('e1', 'participant.left', 'daily', ?1, ?1, '', 'application/json', '{}')", at(8).UnixMilli())
		exec("INSERT INTO deliveries (webhook, message, lane, size) VALUES (1, 1, 1, 2)")
	}
}

// schema returns the tables and indexes of the file of a store, with their columns.
func (s *site) schema() (all []string) {
	s.t.Helper()
	check(s.t, s.store.Read(s.t.Context(), func(tx *history.Tx) error {
		return tx.Each(`SELECT m.name || ' ' || COALESCE(group_concat(i.name || ' ' || i.type || ' ' || i."notnull" || ' ' || COALESCE(i.dflt_value, ''), ', '), '')
			FROM sqlite_schema m LEFT JOIN pragma_table_info(m.name) i GROUP BY m.name ORDER BY m.name`, nil, func(scan history.Scan) error {
			var line string
			err := scan(&line)
			all = append(all, line)
			return err
		})
	}))
	return all
}

// The file of each earlier PPCH has its data after an update, and recording goes on where it ended.
func TestStore_FilesOfEarlierVersions(t *testing.T) {
	today := newSite(t, history.LevelNames).schema()
	latest := len(must(filepath.Glob("migrations/*.sql"))(t))
	for version := 1; version <= latest; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := &site{t: t, dir: t.TempDir(), level: history.LevelNames, box: &box{needs: history.LevelNames}}
			older(t, s.dir, version)
			s.start(occupancy.NewDirectory(muc))
			if diff := cmp.Diff(today, s.schema()); diff != "" {
				t.Errorf("- of a new file, + of this one:\n%s", diff)
			}
			if n := s.count("PRAGMA user_version"); n != latest {
				t.Errorf("got version %d want %d", n, latest)
			}
			s.load(20, room("daily", 1, person("ann", 2)))
			s.apply(30, change("daily", []string{"ann"}))
			s.apply(40, gone("daily"))
			s.expectAttendance("daily", "ANN total 28 sum 28", "BOB total 5 sum 5", "not watched 3 to 4: stopped", "not watched 10 to 20: stopped")
			for query, want := range map[string]int{
				"SELECT COUNT(*) FROM accesses WHERE key = 'ops'": 1,
				"SELECT participants FROM rollups":                2,
				"SELECT COUNT(*) FROM stays WHERE rule IS NULL":   2,
				"SELECT COUNT(*) FROM webhooks w JOIN deliveries d ON d.webhook = w.number JOIN messages m ON m.number = d.message WHERE m.shard = '' AND d.state = 0": min(version-1, 1),
			} {
				if n := s.count(query); n != want {
					t.Errorf("%s: got %d want %d", query, n, want)
				}
			}
			if damage := must(s.store.Check(t.Context()))(t); len(damage) > 0 {
				t.Errorf("got %q", damage)
			}
		})
	}
}
