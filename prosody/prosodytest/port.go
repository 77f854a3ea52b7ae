package prosodytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// The ports that FreePort picks from: below those that a kernel gives to whoever names none (32768 and up on Linux),
// and above those of well-known servers.
const (
	firstPort = 10000
	lastPort  = 32767
)

// given are the ports that FreePort has returned: two servers of one test must not wait for the same one.
var given sync.Map

// FreePort returns a port of 127.0.0.1 at which nothing listens, for a server that binds it later, perhaps several times.
// A port that the kernel picks is no good for that: while the server is down for a restart,
// the kernel may give it to anybody who connects or listens anywhere.
// It is safe for concurrent use.
func FreePort() (int, error) {
	for {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("prosodytest: find a free port: %w", err)
		}
		return port, l.Close()
	}
}
