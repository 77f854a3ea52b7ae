package history

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// fileName is the name of the file in the data folder.
const fileName = "ppch.db"

// readers is how many reads may run at a time.
const readers = 4

// Options are settings of a Store. The zero Options are the defaults.
type Options struct {
	// Log receives warnings; nil discards them.
	Log *slog.Logger

	// Maintenance opens the file of a service that may be running, for a command: it takes no lock and creates nothing.
	Maintenance bool
}

// Store is the SQLite file. Its methods are safe for concurrent use.
type Store struct {
	path string
	opts Options
	log  *slog.Logger

	// writeMu is held for the whole of a write transaction, and while the file is opened or closed.
	writeMu sync.Mutex
	writer  *Tx // its connection; nil while the file isn't open
	write   *sql.DB
	lock    *os.File

	// mu protects what follows.
	mu          sync.Mutex
	read        *sql.DB  // nil while the file isn't open
	lastProblem *Problem // of a write, or of opening; nil if it is over
	failed      bool     // whether lastProblem is of a write
	writes      StoreStats
}

// New returns the Store in a folder without opening it. An empty folder makes one whose methods return ErrOff.
func New(folder string, o Options) *Store {
	s := &Store{opts: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler))}
	if folder == "" {
		s.lastProblem = ErrOff
		return s
	}
	s.path = filepath.Join(folder, fileName)
	s.lastProblem = s.problem(ReasonOpening, nil)
	return s
}

// Open returns the open Store in a folder, which it creates if needed.
// With an error the Store is still valid: Open of the Store may succeed later, and its methods return the error until then.
func Open(ctx context.Context, folder string, o Options) (*Store, error) {
	s := New(folder, o)
	return s, s.Open(ctx)
}

// Path returns the path of the file, Dir its folder. Both are empty without one.
func (s *Store) Path() string { return s.path }

// Dir returns the data folder.
func (s *Store) Dir() string { return filepath.Dir(s.path) }

// Problem returns why the file can't be used at present, or nil.
func (s *Store) Problem() *Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastProblem
}

// Open opens the file, creates or migrates it, and reads its version. An open Store stays as it is.
// The error is a *Problem.
func (s *Store) Open(ctx context.Context) error {
	if s.path == "" {
		return ErrOff
	}
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.writer != nil {
		return nil
	}
	err := s.open(ctx)
	if err != nil {
		s.close()
		err = s.asProblem(err)
	}
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if err != nil || !failed {
		s.note(err)
	}
	return err
}

// asProblem returns err as a *Problem.
func (s *Store) asProblem(err error) error {
	if p := s.problemOf(err); p != nil {
		return p
	}
	return err
}

// note stores the problem of a write or of opening the file.
func (s *Store) note(err error) {
	p := s.problemOf(err)
	s.mu.Lock()
	was := s.lastProblem
	s.lastProblem = p
	s.mu.Unlock()
	switch {
	case p != nil && (was == nil || was.Reason != p.Reason):
		s.log.Error("store unusable", "path", s.path, "reason", p.Reason, "remedy", p.Remedy, "err", p.Err)
	case p == nil && was != nil && was.Reason != ReasonOpening:
		s.log.Info("store usable again", "path", s.path)
	}
}

func (s *Store) open(ctx context.Context) (err error) {
	if !s.opts.Maintenance {
		if err := os.MkdirAll(s.Dir(), 0o700); err != nil {
			return err
		}
		if err := createPrivate(s.path); err != nil {
			return err
		}
		if s.lock, err = lockFile(filepath.Join(s.Dir(), "ppch.lock")); err != nil {
			if errors.Is(err, errLocked) {
				return s.problem(ReasonLocked, err)
			}
			return err
		}
	} else if err := writable(s.path); errors.Is(err, fs.ErrNotExist) {
		return &Problem{Reason: ReasonIO, Title: "there is no " + s.path, Remedy: "set PPCH_DATA_DIR to the folder of the service, which creates the file", Err: err}
	} else if err != nil {
		return err
	}
	// The version comes first: the file of a newer PPCH must stay as it is.
	if err := s.checkVersion(ctx); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)", "secure_delete(1)", "temp_store(2)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(1)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	s.writer = &Tx{conn: conn, prepared: map[string]*sql.Stmt{}}
	if !s.opts.Maintenance {
		if err := migrate(ctx, s.writer); err != nil {
			return err
		}
	}
	read, err := sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)", "temp_store(2)", "foreign_keys(1)", "query_only(1)"))
	if err != nil {
		return err
	}
	read.SetMaxOpenConns(readers)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = read
	return nil
}

// dsn returns the data source name for a file. It escapes the path, which may contain any character.
func dsn(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path}
	if !filepath.IsAbs(path) {
		u = url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	}
	u.RawQuery = url.Values{"_pragma": pragmas}.Encode()
	return u.String()
}

// writable returns why a file can't be written: to read it, SQLite writes an index of the write-ahead log.
func writable(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // #nosec G304 -- in the data folder
	if err != nil {
		return err
	}
	return f.Close()
}

// createPrivate creates a file that only its owner may read, or makes an existing one such a file.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- in the data folder
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		return f.Chmod(0o600)
	}
	return nil
}

// Close closes the file. Transactions that are open end first.
func (s *Store) Close() {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.close()
}

func (s *Store) close() {
	s.mu.Lock()
	read := s.read
	s.read = nil
	if s.lastProblem == nil {
		s.lastProblem = s.problem(ReasonOpening, nil)
	}
	s.mu.Unlock()
	if read != nil {
		_ = read.Close()
	}
	if s.writer != nil {
		s.writer.close()
		s.writer = nil
	}
	if s.write != nil {
		_ = s.write.Close() // it truncates the write-ahead log
		s.write = nil
	}
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

// Write runs change in a transaction, which it commits if change returns nil. It waits for other writes. The end of ctx stops no
// transaction that has begun. A Problem of a write ends with one that changes rows: another one reads and writes no page of a full disk.
// An error of the file is a *Problem. change must not use the Store otherwise.
func (s *Store) Write(ctx context.Context, change func(*Tx) error) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.writer == nil {
		return s.closed()
	}
	began, changed := time.Now(), false
	err := s.writer.run(ctx, "BEGIN IMMEDIATE", func(tx *Tx) error {
		// Writes are short, so that one that has begun may end. With a context that can end, the driver starts a goroutine for each
		// statement, which took 15 % of the CPU of recording and delivering webhooks.
		tx.ctx = context.WithoutCancel(ctx)
		if s.Problem() == nil {
			return change(tx)
		}
		before, err := tx.changes()
		if err == nil {
			err = change(tx)
		}
		if err != nil {
			return err
		}
		after, err := tx.changes()
		changed = after > before
		return err
	})
	s.mu.Lock()
	s.writes.Transactions++
	s.writes.Took += time.Since(began)
	if err != nil {
		s.writes.Failures++
	}
	p := s.problemOf(err)
	if p != nil || changed {
		s.failed = p != nil
	}
	s.mu.Unlock()
	if p != nil || changed {
		s.note(err)
	}
	if p == nil {
		return err
	}
	if p.Reason != ReasonFull && p.Reason != ReasonLocked {
		s.close() // the next Open reads it again: a person may have replaced it
	}
	return p
}

// closed returns the problem of a Store that isn't open.
func (s *Store) closed() error {
	if p := s.Problem(); p != nil {
		return p
	}
	return s.problem(ReasonOpening, nil)
}

// Read runs ask in a transaction that sees one state of the file. It doesn't wait for writes.
// An error of the file is a *Problem.
func (s *Store) Read(ctx context.Context, ask func(*Tx) error) error {
	s.mu.Lock()
	read := s.read
	s.mu.Unlock()
	if read == nil {
		return s.closed()
	}
	conn, err := read.Conn(ctx)
	if err != nil {
		return s.asProblem(err)
	}
	tx := &Tx{conn: conn, prepared: map[string]*sql.Stmt{}}
	defer tx.close()
	return s.asProblem(tx.run(ctx, "BEGIN", ask))
}

// Tx is an open transaction. It is valid only within the function that receives it, and not safe for concurrent use.
type Tx struct {
	ctx      context.Context //nolint:containedctx // of the transaction
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // statements stay prepared as long as the connection is open
}

// run runs f between begin and the commit.
func (t *Tx) run(ctx context.Context, begin string, f func(*Tx) error) (err error) {
	t.ctx = ctx
	if _, err := t.conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // after an error, and after a panic
			// The connection must be free again, although ctx may have ended.
			_, undone := t.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			if undone != nil && err == nil {
				err = undone
			}
		}
	}()
	if err := f(t); err != nil {
		return err
	}
	if _, err := t.conn.ExecContext(t.ctx, "COMMIT"); err != nil {
		return fmt.Errorf("history: commit: %w", err)
	}
	done = true
	return nil
}

func (t *Tx) statement(query string) (*sql.Stmt, error) {
	if st, ok := t.prepared[query]; ok {
		return st, nil
	}
	st, err := t.conn.PrepareContext(t.ctx, query)
	if err == nil {
		t.prepared[query] = st
	}
	return st, err
}

// Exec runs a statement. Its text must be constant, since it stays prepared: pass values as args.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	st, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(t.ctx, args...)
}

// changes returns how many rows the connection has changed.
func (t *Tx) changes() (n int64, err error) {
	_, err = t.Get("SELECT total_changes()", nil, &n)
	return n, err
}

// query returns rows, which the caller closes. See Exec for the text.
func (t *Tx) query(query string, args ...any) (*sql.Rows, error) {
	st, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(t.ctx, args...)
}

// Scan copies the columns of a row into dest, as [sql.Rows.Scan] does.
type Scan func(dest ...any) error

// Each calls f with the Scan of each row of a query until it returns an error. See Exec for the text.
func (t *Tx) Each(query string, args []any, f func(Scan) error) error {
	rows, err := t.query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for scan := rows.Scan; rows.Next(); {
		if err := f(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Get scans the first row into dest and reports whether there is one. See Exec for the text.
func (t *Tx) Get(query string, args []any, dest ...any) (bool, error) {
	st, err := t.statement(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t *Tx) close() {
	for _, st := range t.prepared {
		_ = st.Close()
	}
	_ = t.conn.Close()
}
