package admin_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/admin"
	"ppch/component/occupancy"
)

const (
	own  = "ppch.meet.jitsi"
	boss = "boss@auth.meet.jitsi/desk"
)

var muc, lobby = jid.MustParse("muc.meet.jitsi"), jid.MustParse("lobby.meet.jitsi")

// stage is a Handler on a directory of its own.
type stage struct {
	*admin.Handler
	directory *occupancy.Directory
	rooms     map[string][]occupancy.Occupant
	resyncs   []string
	shards    []occupancy.ShardDiagnostics
	nats      *occupancy.NATSDiagnostics
}

// Room implements admin.Prosody.
func (s *stage) Room(_ context.Context, room jid.JID) (occupancy.Room, error) {
	r, err := s.directory.Room(room)
	if errors.Is(err, occupancy.ErrNoModule) {
		err = occupancy.ProblemHidden.About(room.Domain()).Err(nil)
	}
	return r, err
}

// Diagnostics implements admin.Prosody.
func (s *stage) Diagnostics() occupancy.Diagnostics {
	domains := s.directory.Domains()
	return occupancy.Diagnostics{
		Component: jid.MustParse(own), Prosody: "prosody:5347", Shards: s.shards, NATS: s.nats,
		Domains: []occupancy.DomainDiagnostics{{Domain: domains[0], Sync: &occupancy.Sync{Version: "2"}}, {Domain: domains[1]}},
	}
}

// Resync implements admin.Prosody.
func (s *stage) Resync(domain jid.JID) error {
	s.resyncs = append(s.resyncs, domain.String())
	if len(s.resyncs) > 1 {
		return errors.New("component: resynced recently")
	}
	return nil
}

// newStage returns a stage whose muc has the module, and whose lobby doesn't.
func newStage(t testing.TB) *stage {
	s := &stage{directory: occupancy.NewDirectory(muc, lobby), rooms: make(map[string][]occupancy.Occupant)}
	s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
	s.directory.Shard(occupancy.DefaultShard).SetStatus(lobby, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeExistence})
	s.Handler = admin.New(admin.Config{
		Domain: jid.MustParse(own), Version: "2.0.0", Prosody: s, Directory: s.directory, Names: occupancy.NewNameResolver(muc, lobby), Log: slog.New(slog.DiscardHandler),
	})
	s.set(t)
	return s
}

// set adds rooms and loads all of them into the directory.
func (s *stage) set(t testing.TB, rooms ...string) {
	t.Helper()
	for _, r := range rooms {
		s.rooms[r] = append(s.rooms[r], occupancy.Occupant{ID: "nick", Name: "Ada", Role: "participant"})
	}
	b := occupancy.Batch{Synced: true, Rooms: len(s.rooms)}
	for r, all := range s.rooms {
		b.Deltas = append(b.Deltas, occupancy.Delta{Room: r + "@muc.meet.jitsi", New: true, Present: all})
		b.Occupants += len(all)
	}
	s.directory.Shard(occupancy.DefaultShard).Begin(muc, occupancy.SystemAccounts{})
	if err := s.directory.Shard(occupancy.DefaultShard).Apply(muc, b, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// readWriter is what a handler reads from and writes to.
type readWriter struct {
	xml.TokenReader
	*xml.Encoder
}

// send has the handler answer a stanza of an admin and returns what it writes.
func (s *stage) send(t testing.TB, stanza string) string {
	t.Helper()
	out, err := s.try(stanza)
	if err != nil {
		t.Fatalf("%s: %v", stanza, err)
	}
	return out
}

func (s *stage) try(stanza string) (string, error) {
	d := xml.NewDecoder(strings.NewReader("<stream xmlns='jabber:component:accept'>" + stanza + "</stream>"))
	if _, err := d.Token(); err != nil {
		return "", err
	}
	tok, err := d.Token()
	if err != nil {
		return "", err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return "", io.ErrUnexpectedEOF
	}
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	if err := s.HandleXMPP(readWriter{d, e}, &start); err != nil {
		return "", err
	}
	err = e.Flush()
	return out.String(), err
}

// ask sends an IQ.
func (s *stage) ask(t testing.TB, typ, payload string) string {
	t.Helper()
	return s.send(t, "<iq type='"+typ+"' id='1' from='"+boss+"' to='"+own+"'>"+payload+"</iq>")
}

// line is a stream that keeps what is sent.
type line struct {
	mu    sync.Mutex
	sent  []string
	gone  map[string]bool
	fails error
}

// Send implements admin.Stream.
func (l *line) Send(_ context.Context, tokens []xml.Token) error {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	for _, t := range tokens {
		if err := e.EncodeToken(t); err != nil {
			return err
		}
	}
	if err := e.Flush(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, b.String())
	return nil
}

// Write implements admin.Stream.
func (l *line) Write(...xml.TokenReader) error { return nil }

// Reachable implements admin.Stream.
func (l *line) Reachable(_ context.Context, to jid.JID) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gone[to.String()], l.fails
}

// take returns and removes what was sent.
func (l *line) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := l.sent
	l.sent = nil
	return sent
}

// fail makes questions fail, lose makes clients offline.
func (l *line) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

func (l *line) lose(clients ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range clients {
		l.gone[c] = true
	}
}
