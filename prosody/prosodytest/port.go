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
// and above those of well-known servers. They are taken by the block.
const (
	firstPort = 10000
	blockSize = 64
	blocks    = (32768 - firstPort) / blockSize
)

// owned is the block that this process picks from at present.
var owned struct {
	// mu protects what follows.
	mu        sync.Mutex
	next, end int

	// stakes listen at the first port of each block that the process has taken, until it ends. Nobody connects to them.
	stakes []net.Listener
}

// FreePort returns a port of 127.0.0.1 at which nothing listens, for a server that binds it later, perhaps several times,
// or never. A port that the kernel picks is no good for that: while the server is down for a restart,
// the kernel may give it to anybody who connects or listens anywhere.
// Nobody else who asks FreePort gets it, neither in this process nor in one that runs beside it: go test has several.
// It is safe for concurrent use.
func FreePort() (int, error) {
	owned.mu.Lock()
	defer owned.mu.Unlock()
	for {
		if owned.next == owned.end {
			if err := takeBlock(); err != nil {
				return 0, err
			}
		}
		port := owned.next
		owned.next++
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

// takeBlock takes a block of ports that nobody has taken. The kernel sees to it that only one process can,
// and that what it took is free again when it has ended, however it does.
func takeBlock() error {
	for _, i := range rand.Perm(blocks) { // #nosec G404 -- it needn't be secret
		first := firstPort + i*blockSize
		stake, err := listen(first)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("prosodytest: take some ports: %w", err)
		}
		owned.stakes = append(owned.stakes, stake)
		owned.next, owned.end = first+1, first+blockSize
		return nil
	}
	return fmt.Errorf("prosodytest: all ports from %d to %d are taken", firstPort, firstPort+blocks*blockSize-1)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
