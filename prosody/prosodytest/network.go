package prosodytest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Network is a proxy between a component and Prosody that simulates network
// failures. Safe for concurrent use. The caller must Close it.
type Network struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup
	cut      [2]atomic.Bool // by direction

	// mu protects conns.
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// NewNetwork forwards connections from a free loopback port to an address.
func NewNetwork(to string) (*Network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("prosodytest: network: %w", err)
	}
	n := &Network{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	n.running.Go(n.accept)
	return n, nil
}

// Addr is the address to connect to.
func (n *Network) Addr() string { return n.listener.Addr().String() }

// Direction is one way through a Network.
type Direction int

// The directions, from the client's side: to the server, and from it.
const (
	Sent Direction = iota
	Received
)

// Cut silently drops everything sent, until Restore. Connections on which something
// was sent during a cut stay dead; new ones work again after Restore.
func (n *Network) Cut() {
	n.CutOneWay(Sent)
	n.CutOneWay(Received)
}

// CutOneWay is Cut for one direction. Connections stay dead in that one only.
func (n *Network) CutOneWay(d Direction) { n.cut[d].Store(true) }

// Restore ends all cuts.
func (n *Network) Restore() {
	n.cut[Sent].Store(false)
	n.cut[Received].Store(false)
}

// Break closes all connections, like a router restart.
func (n *Network) Break() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close()
	}
}

// Close closes the listener and all connections, and waits until they have ended.
func (n *Network) Close() error {
	err := n.listener.Close()
	n.Break()
	n.running.Wait()
	return err
}

func (n *Network) accept() {
	for {
		from, err := n.listener.Accept()
		if err != nil {
			return
		}
		into, err := net.Dial("tcp", n.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		n.mu.Lock()
		n.conns[from], n.conns[into] = struct{}{}, struct{}{}
		n.mu.Unlock()
		n.running.Go(func() { n.copy(into, from, Sent) })
		n.running.Go(func() { n.copy(from, into, Received) })
	}
}

// copy forwards in one direction until the connection ends.
func (n *Network) copy(to, from net.Conn, d Direction) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, from)
	}()
	buf := make([]byte, 32<<10)
	lost := false // also the end of the connection is lost
	for {
		read, err := from.Read(buf)
		lost = lost || n.cut[d].Load()
		if !lost && read > 0 {
			if _, err := to.Write(buf[:read]); err != nil {
				_ = from.Close()
			}
		}
		if err != nil {
			if !lost {
				_ = to.Close()
			}
			return
		}
	}
}
