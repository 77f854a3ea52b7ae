package main

import (
	"fmt"
	"math"
	"syscall"
)

// otherFiles is a generous number of file descriptors for everything but event streams: listeners, Prosody and short requests.
const otherFiles = 100

// ownFiles is the part of otherFiles for listeners, Prosody and files; the rest is for requests.
const ownFiles = 50

// maxConnections returns the limit of connections for these limits of streams, files and memory. Without a free file
// descriptor the service could not even accept a connection to close an older one.
func maxConnections(streams int, files uint64, memory int64) int {
	const others = 2000 // without streams
	byFiles := files - min(ownFiles, files/4)
	return min(int(min(uint64(streams+others), byFiles)), connectionsIn(memory)) // #nosec G115 -- no more than streams and others, which are positive
}

// filesWarning returns how to fix a file limit that is too low for this many event streams, or "" if it suffices.
// Without a free file descriptor no client can connect, not even a health check.
func filesWarning(streams int, limit uint64) string {
	if uint64(streams+otherFiles) <= limit { // #nosec G115 -- streams is at least 1
		return ""
	}
	return fmt.Sprintf("PPCH_MAX_STREAMS is %d, but this process can open only %d files: lower it, or raise that limit to %d "+
		"(systemd: LimitNOFILE; Docker: ulimits, nofile; else ulimit -n); until then there are fewer streams", streams, limit, streams+otherFiles)
}

// filesLimit returns the limit of open files. Package os has already raised the soft limit to the hard one.
func filesLimit() uint64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return math.MaxUint64 // limit unknown: don't warn
	}
	return files.Cur
}
