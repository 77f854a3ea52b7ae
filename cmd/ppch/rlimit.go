package main

import (
	"fmt"
	"math"
	"syscall"
)

// otherFiles is how many file descriptors the service has besides event streams, amply:
// to listen, for Prosody, for requests that are answered at once.
const otherFiles = 100

// ownFiles is how many file descriptors the service keeps for itself, amply: to listen, for Prosody, for what it reads.
// The rest of otherFiles is for requests.
const ownFiles = 50

// maxConnections returns how many connections there may be with so many streams, files and bytes of memory:
// with the last file the service couldn't accept the next one, nor close another for it.
func maxConnections(streams int, files uint64, memory int64) int {
	const others = 2000 // beside those of streams
	byFiles := files - min(ownFiles, files/4)
	return min(int(min(uint64(streams+others), byFiles)), connectionsIn(memory)) // #nosec G115 -- no more than streams and others, which are positive
}

// filesWarning says what to mend where the process may not have as many files as event streams, or nothing where it may.
// Without a file nobody can connect, not even who asks whether the service lives.
func filesWarning(streams int, limit uint64) string {
	if uint64(streams+otherFiles) <= limit { // #nosec G115 -- streams is 1 at least
		return ""
	}
	return fmt.Sprintf("PPCH_MAX_STREAMS is %d, but this process may have no more than %d files open: lower it, or raise that to %d "+
		"(systemd: LimitNOFILE; Docker: ulimits, nofile; else ulimit -n); until then there are fewer streams", streams, limit, streams+otherFiles)
}

// filesLimit returns how many files this process may have open. Package os has raised the soft limit to the hard one by then.
func filesLimit() uint64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return math.MaxUint64 // who doesn't know warns of nothing
	}
	return files.Cur
}
