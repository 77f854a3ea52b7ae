package history_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ppch/component/history"
)

// open returns an open Store in a folder.
func open(t *testing.T, dir string) *history.Store {
	t.Helper()
	s := must(history.Open(t.Context(), dir, history.Options{}))(t)
	t.Cleanup(s.Close)
	return s
}

// exec runs statements on the file in a folder, as another program does.
func exec(t *testing.T, dir, statements string) {
	t.Helper()
	db := must(sql.Open("sqlite", filepath.Join(dir, "ppch.db")))(t)
	defer db.Close()
	must(db.Exec(statements))(t)
}

// reason returns the reason of a Problem, or the error as text.
func reason(err error) string {
	if p, ok := errors.AsType[*history.Problem](err); ok {
		return string(p.Reason)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestStore_ModesOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	check(t, s.DropKey(t.Context()))
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: got mode %o want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	check(t, err)
}

func TestStore_Problems(t *testing.T) {
	for _, tt := range []struct {
		name, want, remedy string
		prepare            func(t *testing.T, dir string)
	}{
		{"another process uses the folder", "locked", "stop it", func(t *testing.T, dir string) { open(t, dir) }},
		{"the file is from a newer PPCH", "newer-version", "update PPCH", func(t *testing.T, dir string) {
			open(t, dir).Close()
			exec(t, dir, "PRAGMA user_version = 999")
		}},
		{"the file is no database", "corrupt", "ppch store check", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "ppch.db"), []byte(strings.Repeat("no database ", 1000)))
		}},
		{"the file is a database of another program", "corrupt", "ppch store check", func(t *testing.T, dir string) {
			exec(t, dir, "CREATE TABLE other (x)")
		}},
		{"the file is overwritten in the middle", "corrupt", "ppch store check", func(t *testing.T, dir string) {
			open(t, dir).Close()
			path := filepath.Join(dir, "ppch.db")
			text := must(os.ReadFile(path))(t)
			write(t, path, append(text[:100:100], bytes.Repeat([]byte{0xff}, len(text)-100)...))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(t, dir)
			before := content(t, dir)
			s := history.New(dir, history.Options{})
			defer s.Close()
			err := s.Open(t.Context())
			if reason(err) != tt.want || !strings.Contains(err.Error(), tt.remedy) {
				t.Fatalf("got %v want %s with %q", err, tt.want, tt.remedy)
			}
			for what, err := range map[string]error{
				"Problem": s.Problem(),
				"Read":    s.Read(t.Context(), func(*history.Tx) error { return nil }),
				"Write":   s.Write(t.Context(), func(*history.Tx) error { return nil }),
			} {
				if reason(err) != tt.want {
					t.Errorf("%s: got %v want %s", what, err, tt.want)
				}
			}
			if after := content(t, dir); tt.want == "newer-version" && !bytes.Equal(before, after) {
				t.Error("the file has changed")
			}
		})
	}
}

func TestStore_Unwritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere; cmd/ppch tests this as another user")
	}
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o500))
	_, err := history.Open(t.Context(), dir, history.Options{})
	if reason(err) != "unwritable" || !strings.Contains(err.Error(), "chown -R") {
		t.Errorf("got %v want the chown that fixes it", err)
	}
}

// A transaction that doesn't fit leaves the file as it was, and the next one that does works.
func TestStore_WriteGoesOnWhenItsContextEnds(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Write(ctx, func(tx *history.Tx) error {
		cancel()
		_, err := tx.Exec("INSERT INTO domains VALUES ('muc.meet.jitsi', 1)")
		return err
	})
	check(t, err)
	rows := 0
	err = s.Read(t.Context(), func(tx *history.Tx) error {
		_, err := tx.Get("SELECT COUNT(*) FROM domains", nil, &rows)
		return err
	})
	if err != nil || rows != 1 {
		t.Errorf("got %d rows and %v, want the row that was written", rows, err)
	}
	if err := s.Write(ctx, func(*history.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a write after the end, want %v", err, context.Canceled)
	}
}

func TestStore_Full(t *testing.T) {
	s := open(t, t.TempDir())
	fill := func(n int) error {
		return s.Write(t.Context(), func(tx *history.Tx) error {
			if _, err := tx.Exec("PRAGMA max_page_count = 100"); err != nil {
				return err
			}
			for i := range n {
				if _, err := tx.Exec("INSERT INTO settings VALUES (?, ?)", i, strings.Repeat("x", 3000)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := fill(200); reason(err) != "full" || s.Problem() == nil {
		t.Fatalf("got %v with the problem %v, want full", err, s.Problem())
	}
	if err := fill(2); err != nil || s.Problem() != nil {
		t.Fatalf("got %v with the problem %v, want none", err, s.Problem())
	}
	var rows int
	err := s.Read(t.Context(), func(tx *history.Tx) error {
		_, err := tx.Get("SELECT COUNT(*) FROM settings", nil, &rows)
		return err
	})
	if err != nil || rows != 2 {
		t.Errorf("got %d rows, %v; want 2", rows, err)
	}
}

// A write that changes nothing says nothing of the disk: only one that changes pages ends a problem, also after the file was opened again.
func TestStore_ProblemEndsWithAChange(t *testing.T) {
	s := open(t, t.TempDir())
	write := func(statement string) error {
		return s.Write(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Exec(statement)
			return err
		})
	}
	check(t, write("PRAGMA max_page_count = 1"))
	expect := func(what string, want history.Reason) {
		t.Helper()
		if p := s.Problem(); (p == nil) != (want == "") || p != nil && p.Reason != want {
			t.Errorf("%s: got %v want %q", what, p, want)
		}
	}
	if err := write("INSERT INTO settings VALUES ('x', zeroblob(1000000))"); reason(err) != "full" {
		t.Fatalf("got %v want full", err)
	}
	expect("after the write", history.ReasonFull)
	check(t, write("DELETE FROM settings WHERE name = 'nothing'"))
	expect("after a write without changes", history.ReasonFull)
	s.Close()
	check(t, s.Open(t.Context()))
	expect("after opening the file again", history.ReasonFull)
	check(t, write("INSERT INTO settings VALUES ('x', zeroblob(1000000))"))
	expect("after a change", "")
	// A service that records nothing finds out, too.
	check(t, write("PRAGMA max_page_count = 1"))
	if err := write("INSERT INTO settings VALUES ('y', zeroblob(1000000))"); reason(err) != "full" {
		t.Fatalf("got %v want full", err)
	}
	check(t, s.Prune(t.Context(), 30, start))
	expect("after old meetings were deleted", "")
}

func TestStore_Off(t *testing.T) {
	s, err := history.Open(t.Context(), "", history.Options{})
	if reason(err) != "off" || !strings.Contains(err.Error(), "PPCH_DATA_DIR") {
		t.Errorf("got %v", err)
	}
	if _, _, err := s.Meetings(t.Context(), history.MeetingFilter{Limit: 1}); reason(err) != "off" {
		t.Errorf("got %v", err)
	}
}

func TestStore_PathsWithOddCharacters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e&f=g'h")
	open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "ppch.db")); err != nil {
		t.Error(err)
	}
}

// A backup and a check work while the service has the file open.
func TestStore_MaintenanceWhileRunning(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2)))
	m := must(history.Open(t.Context(), s.dir, history.Options{Maintenance: true}))(t)
	defer m.Close()
	if damage, err := m.Check(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("check: got %q, %v", damage, err)
	}
	copied := t.TempDir()
	check(t, m.Backup(t.Context(), filepath.Join(copied, "ppch.db")))
	if err := m.Backup(t.Context(), filepath.Join(copied, "ppch.db")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v for a backup over another", err)
	}
	if info, err := os.Stat(filepath.Join(copied, "ppch.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
	if err := m.Compact(t.Context()); err != nil {
		t.Errorf("compact: %v", err)
	}
	meetings, _, err := open(t, copied).Meetings(t.Context(), history.MeetingFilter{Limit: 10})
	if err != nil || len(meetings) != 1 || meetings[0].Stays != 1 {
		t.Errorf("backup: got %+v, %v", meetings, err)
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	check(t, os.WriteFile(path, text, 0o600))
}

// content returns all bytes of all files in a folder.
func content(t *testing.T, dir string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, text...)
		return err
	})
	check(t, err)
	return all
}
