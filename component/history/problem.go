package history

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reason is the code of a problem of the file, for programs.
type Reason string

// The reasons.
const (
	ReasonOff        Reason = "off"        // there is no data folder
	ReasonOpening    Reason = "opening"    // it isn't open yet
	ReasonUnwritable Reason = "unwritable" // the folder or file may not be written
	ReasonReadOnly   Reason = "read-only"  // the file system may not be written
	ReasonFull       Reason = "full"
	ReasonLocked     Reason = "locked"
	ReasonCorrupt    Reason = "corrupt"
	ReasonNewer      Reason = "newer-version"
	ReasonIO         Reason = "io" // the disk reported an error
)

// Problem is why the file can't be used, and how to fix it.
type Problem struct {
	Reason Reason
	Title  string // what is wrong
	Remedy string // how to fix it
	Err    error  // the cause, for the log, or nil
}

func (p *Problem) Error() string { return "history: " + p.Title + ": " + p.Remedy }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// ErrOff is the problem of a service without a data folder.
var ErrOff = &Problem{
	Reason: ReasonOff,
	Title:  "this PPCH keeps no data",
	Remedy: "set PPCH_DATA_DIR to a folder on a local disk, and PPCH_HISTORY to numbers, pseudonyms or names to record meetings",
}

// problemOf returns the problem for an error of SQLite or of the file system, or nil for an error of another kind.
func (s *Store) problemOf(err error) *Problem {
	var p *Problem
	var failure *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, syscall.EROFS):
		return s.problem(ReasonReadOnly, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s.problem(ReasonFull, err)
	case errors.Is(err, fs.ErrPermission):
		return s.problem(ReasonUnwritable, err)
	case errors.As(err, new(*fs.PathError)):
		return s.problem(ReasonIO, err)
	case !errors.As(err, &failure):
		return nil
	}
	switch failure.Code() & 0xff { // without SQLite's extended codes
	case sqlite3.SQLITE_FULL:
		return s.problem(ReasonFull, err)
	case sqlite3.SQLITE_READONLY:
		return s.problem(ReasonReadOnly, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return s.problem(ReasonLocked, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return s.problem(ReasonCorrupt, err)
	case sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return s.problem(ReasonUnwritable, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
		return s.problem(ReasonIO, err)
	}
	return nil
}

// problem returns the problem of the store for a reason.
func (s *Store) problem(r Reason, cause error) *Problem {
	p := &Problem{Reason: r, Err: cause}
	switch r {
	case ReasonUnwritable:
		uid, gid := ids()
		p.Title = fmt.Sprintf("PPCH runs as %d:%d and may not write to %s", uid, gid, s.Dir())
		p.Remedy = fmt.Sprintf("chown -R %d:%d %s", uid, gid, s.Dir())
	case ReasonReadOnly:
		p.Title = s.path + " is on a file system that is mounted read-only, or is itself read-only"
		p.Remedy = "mount it read-write (in Docker: a volume at the folder), or set PPCH_DATA_DIR to another folder"
		if s.opts.Maintenance {
			p.Remedy = "mount it read-write, or copy the files of the folder and set PPCH_DATA_DIR to the copy"
		}
	case ReasonFull:
		p.Title = "the disk with " + s.path + " is full"
		p.Remedy = "free some space; PPCH resumes by itself"
	case ReasonLocked:
		p.Title = "another process uses " + s.path
		p.Remedy = "stop it, or set PPCH_DATA_DIR to another folder: each PPCH needs its own"
	case ReasonCorrupt:
		p.Title = s.path + " is damaged or not a store of PPCH"
		p.Remedy = `run "ppch store check", then restore a backup or move the file away; PPCH creates a new one`
		if s.opts.Maintenance {
			p.Remedy = "restore a backup, or move the file away; PPCH creates a new one"
		}
	case ReasonIO:
		p.Title = fmt.Sprintf("%s can't be read or written (%v)", s.path, cause)
		p.Remedy = "check the disk and the system's log"
	case ReasonOpening:
		p.Title = s.path + " isn't open yet"
		p.Remedy = "retry in a moment"
	}
	return p
}

// newer returns the problem of a file of a newer PPCH.
func (s *Store) newer(version, ours int) *Problem {
	return &Problem{
		Reason: ReasonNewer,
		Title:  fmt.Sprintf("%s is from a newer PPCH: its version is %d, this PPCH reads up to %d", s.path, version, ours),
		Remedy: "update PPCH, or move the file away",
	}
}
