package main

import (
	"errors"
	"log/slog"
	"math"

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
