package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory sets the memory limit of the garbage collector to nine tenths of the control group's, such as a container's,
// unless GOMEMLIMIT is set.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		log.Warn("can't read the memory limit of the control group: set GOMEMLIMIT", "err", err)
	case limit != math.MaxInt64:
		log.Info("memory limit set", "bytes", limit)
	}
}

// Memory use. A connection with a request in progress needs connectionMemory, one with an event stream half of it, or with TLS a tenth more.
const (
	connectionMemory = 32 << 10
	otherMemory      = 115 << 20 // rooms, and responses that wait for their readers
	minConnections   = 200
)

// connectionsIn returns the number of connections that fit in a memory limit.
func connectionsIn(limit int64) int {
	return int(max(minConnections, (limit-otherMemory)/connectionMemory))
}

// memoryLimit returns the memory limit of the garbage collector, math.MaxInt64 for none.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// memoryWarning returns how to fix a memory limit that is too low for this many event streams, or "" if it suffices.
func memoryWarning(streams int, limit int64) string {
	connections := connectionsIn(limit)
	if streams+otherFiles-ownFiles <= connections {
		return ""
	}
	return fmt.Sprintf("PPCH_MAX_STREAMS is %d, but a memory limit of %d MiB is enough for %d connections: lower it, or raise the limit "+
		"(Docker: mem_limit; systemd: MemoryMax; GOMEMLIMIT); until then there are fewer streams", streams, limit>>20, connections)
}
