package adhoc

import (
	"container/list"
	"crypto/rand"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// session is a running command, waiting for its requester.
type session struct {
	id, node string
	owner    string // the full JID of the requester; no other client may use the session
	account  string // its bare JID, by which sessions are counted
	used     time.Time

	// mu protects shown, and is held while a stage runs: two steps sent at once run one by one.
	mu    sync.Mutex
	shown []Reply // the steps to go back to, the current one last; empty once the command has ended
}

// sessions holds the running commands. It is safe for concurrent use.
type sessions struct {
	perAccount, total int
	idle              time.Duration

	// mu protects what follows.
	mu       sync.Mutex
	byID     map[string]*list.Element
	byUse    list.List // of *session, the least recently used first
	accounts map[string]int
}

// add adds a session.
// It drops the least recently used one of an account at its limit: clients that vanish must not lock out those that start again.
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
// The error doesn't show whether another client has such a session.
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

// end drops a session unless it is gone already.
func (s *sessions) end(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[n.id]; e != nil {
		s.drop(e)
	}
}

// len returns how many sessions there are, expired ones that were not dropped yet included.
func (s *sessions) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUse.Len()
}

// expire drops idle sessions. The caller holds mu.
func (s *sessions) expire() {
	for e := s.byUse.Front(); e != nil && time.Since(e.Value.(*session).used) > s.idle; e = s.byUse.Front() {
		s.drop(e)
	}
}

// drop removes a session. The caller holds mu.
func (s *sessions) drop(e *list.Element) {
	n := s.byUse.Remove(e).(*session)
	delete(s.byID, n.id)
	if s.accounts[n.account]--; s.accounts[n.account] == 0 {
		delete(s.accounts, n.account)
	}
}
