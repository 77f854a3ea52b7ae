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

// FreePort picks ports in blocks, below the kernel's ephemeral ports (32768 and up on Linux) and above those of
// well-known servers.
const (
	firstPort = 10000
	blockSize = 64
	blocks    = (32768 - firstPort) / blockSize
)

// ports is the block that this process currently picks from.
var ports struct {
	// mu protects what follows.
	mu        sync.Mutex
	next, end int

	// reservations listen on the first port of each block that the process has reserved, until it ends.
	reservations []net.Listener
}

// FreePort returns an unused port of 127.0.0.1 for a server that binds it later, perhaps several times.
// A port picked by the kernel would not do: while the server is down for a restart, the kernel may give it to any
// other socket.
// No other call of FreePort returns the same port, in this process or in a concurrent one: go test runs several.
// FreePort is safe for concurrent use.
func FreePort() (int, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for {
		if ports.next == ports.end {
			if err := takeBlock(); err != nil {
				return 0, err
			}
		}
		port := ports.next
		ports.next++
		l, err := listen(port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("prosodytest: find a free port: %w", err)
		}
		return port, l.Close()
	}
}

// takeBlock reserves a free block of ports by listening on its first port. The kernel ensures that only one process can,
// and frees the block when that process ends.
func takeBlock() error {
	for _, i := range rand.Perm(blocks) { // #nosec G404 -- it needn't be secret
		first := firstPort + i*blockSize
		reservation, err := listen(first)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("prosodytest: reserve ports: %w", err)
		}
		ports.reservations = append(ports.reservations, reservation)
		ports.next, ports.end = first+1, first+blockSize
		return nil
	}
	return fmt.Errorf("prosodytest: all ports from %d to %d are reserved", firstPort, firstPort+blocks*blockSize-1)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
