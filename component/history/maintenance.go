package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// Checkpoint moves the write-ahead log into the file and truncates it, so that deleted content is gone from the disk.
// It waits for open reads, for at most some seconds.
func (s *Store) Checkpoint(ctx context.Context) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.writer == nil {
		return s.closed()
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		var busy, log, moved int
		if err := s.writer.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
			return s.asProblem(err)
		}
		if busy == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("history: the write-ahead log is in use and can't be truncated")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Check reads the whole file and returns a list of damage, empty if there is none.
func (s *Store) Check(ctx context.Context) (damage []string, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		for _, check := range []string{"PRAGMA integrity_check", "PRAGMA foreign_key_check"} {
			err := tx.Each(check, nil, func(scan Scan) error {
				var text string
				if check == "PRAGMA foreign_key_check" {
					text = "a row refers to another that doesn't exist"
				} else if err := scan(&text); err != nil {
					return err
				}
				if text != "ok" {
					damage = append(damage, text)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return damage, err
}

// Backup writes a copy of the file, as it is at one moment, to a path that must not exist. It may run while the service records.
func (s *Store) Backup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return fmt.Errorf("history: backup: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("history: backup: %w", err)
	}
	// Connections for reads refuse VACUUM INTO, which accepts an empty file and keeps its mode.
	db, err := sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)", "temp_store(2)"))
	if err == nil {
		defer db.Close()
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	}
	if err != nil {
		return fmt.Errorf("history: backup to %s: %w", path, err)
	}
	return nil
}

// Compact rewrites the file without free space. Writes wait meanwhile. It needs as much free space as the file has.
func (s *Store) Compact(ctx context.Context) error {
	s.writeMu.Lock()
	if s.writer == nil {
		s.writeMu.Unlock()
		return s.closed()
	}
	_, err := s.writer.conn.ExecContext(ctx, "VACUUM")
	s.writeMu.Unlock()
	if err != nil {
		return s.asProblem(err)
	}
	return s.Checkpoint(ctx)
}

// Size returns how many bytes the file and its write-ahead log have.
func (s *Store) Size() (n int64) {
	for _, path := range []string{s.path, s.path + "-wal"} {
		if info, err := os.Stat(path); err == nil {
			n += info.Size()
		}
	}
	return n
}
