package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory has the garbage collector keep the process below nine tenths of what its control group may use,
// as a container's limit is set, unless GOMEMLIMIT says otherwise.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		log.Warn("the memory limit of the control group can't be read: set GOMEMLIMIT", "err", err)
	case limit != math.MaxInt64:
		log.Info("memory limit set", "bytes", limit)
	}
}

// What memory is for. Connections take about the same whether or not there is an event stream on them.
const (
	memoryOfConnection = 32 << 10
	memoryOfOthers     = 115 << 20 // rooms, and answers that wait for their readers
	fewestConnections  = 200
)

// connectionsIn returns how many connections a limit on memory allows.
func connectionsIn(limit int64) int {
	return int(max(fewestConnections, (limit-memoryOfOthers)/memoryOfConnection))
}

// memoryLimit returns below how many bytes the garbage collector keeps the process, math.MaxInt64 for no limit.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// memoryWarning says how to fix it where the memory isn't enough for as many event streams, or nothing where it is.
func memoryWarning(streams int, limit int64) string {
	most := connectionsIn(limit)
	if streams+otherFiles-ownFiles <= most {
		return ""
	}
	return fmt.Sprintf("PPCH_MAX_STREAMS is %d, but a memory limit of %d MiB is enough for %d connections: lower it, or raise the limit "+
		"(Docker: mem_limit; systemd: MemoryMax; GOMEMLIMIT); until then there are fewer streams", streams, limit>>20, most)
}
