package history

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

// migrations are numbered from 1 without gaps, by the first four characters of their names. A released one never changes:
// the file's user_version is the number of the last one that was applied.
//
//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as one of PPCH ("PPCH" in ASCII).
const applicationID = 0x50504348

// migrationNames returns the files in order.
func migrationNames() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	slices.Sort(names)
	return names
}

// checkVersion returns a Problem if the file is not one that this PPCH can use, without changing it.
func (s *Store) checkVersion(ctx context.Context) error {
	db, err := sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)", "query_only(1)"))
	if err != nil {
		return err
	}
	defer db.Close()
	var application, version, tables int
	if err := db.QueryRowContext(ctx, "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version").
		Scan(&application, &version, &tables); err != nil {
		return err
	}
	switch ours := len(migrationNames()); {
	case application != applicationID && tables > 0:
		return s.problem(ReasonCorrupt, fmt.Errorf("history: application_id is %#x", application))
	case version > ours:
		return s.newer(version, ours)
	}
	return nil
}

// migrate applies the migrations that the file lacks, each in a transaction.
func migrate(ctx context.Context, t *Tx) error {
	var version int
	if err := t.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	for i, name := range migrationNames() {
		if i < version {
			continue
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		err = t.run(ctx, "BEGIN IMMEDIATE", func(t *Tx) error {
			_, err := t.conn.ExecContext(ctx, string(text)+fmt.Sprintf("; PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("history: %s: %w", name, err)
		}
	}
	return nil
}
