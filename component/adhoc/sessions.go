package adhoc

import (
	"container/list"
	"crypto/rand"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// session is a command that waits for its requester to go on.
type session struct {
	id, node string
	owner    string // the full JID of the requester, to whom alone the session is known
	account  string // its bare JID, by which sessions are counted
	used     time.Time

	// mu protects shown, and is held while a stage runs: a requester that sends two steps at once has them done one by one.
	mu    sync.Mutex
	shown []Reply // what can be gone back to, the present one last; empty once the command is over
}

// sessions are those under way. It is safe for concurrent use.
type sessions struct {
	perAccount, total int
	idle              time.Duration

	// mu protects what follows.
	mu       sync.Mutex
	byID     map[string]*list.Element
	byUse    list.List // of *session, the one that was used longest ago first
	accounts map[string]int
}

// add keeps a new session.
// Of an account that has as many as it may, the one that was used longest ago gives way:
// clients that vanish must not lock out who has to start again.
func (s *sessions) add(owner jid.JID, node string, shown Reply) (*session, error) {
	n := &session{
		id: rand.Text(), node: node, owner: owner.String(), account: owner.Bare().String(),
		used: time.Now(), shown: []Reply{shown},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if s.accounts[n.account] >= s.perAccount {
		for e := s.byUse.Front(); e != nil; e = e.Next() {
			if e.Value.(*session).account == n.account {
				s.drop(e)
				break
			}
		}
	}
	if s.byUse.Len() >= s.total {
		return nil, errTooMany
	}
	s.byID[n.id] = s.byUse.PushBack(n)
	s.accounts[n.account]++
	return n, nil
}

// find returns the session of that id if it belongs to the requester and to the command.
// Whoever asks for somebody else's learns no more than that there is none of theirs.
func (s *sessions) find(owner jid.JID, node, id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return nil, errBadSession
	}
	n := e.Value.(*session)
	if n.owner != owner.String() || n.node != node {
		return nil, errBadSession
	}
	if time.Since(n.used) > s.idle {
		s.drop(e)
		return nil, errExpired
	}
	n.used = time.Now()
	s.byUse.MoveToBack(e)
	return n, nil
}

// end forgets a session.
func (s *sessions) end(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[n.id]; e != nil {
		s.drop(e)
	}
}

// len returns how many sessions are under way, those that nobody has come back to included.
func (s *sessions) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUse.Len()
}

// expire drops what wasn't used for long. The caller holds mu.
func (s *sessions) expire() {
	for e := s.byUse.Front(); e != nil && time.Since(e.Value.(*session).used) > s.idle; e = s.byUse.Front() {
		s.drop(e)
	}
}

// drop forgets a session. The caller holds mu.
func (s *sessions) drop(e *list.Element) {
	n := s.byUse.Remove(e).(*session)
	delete(s.byID, n.id)
	if s.accounts[n.account]--; s.accounts[n.account] == 0 {
		delete(s.accounts, n.account)
	}
}
