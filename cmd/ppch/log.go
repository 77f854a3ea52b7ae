package main

import (
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"

	"ppch/cmd/ppch/config"
)

// newLogger writes to lines: text if they go to a terminal, else JSON. Durations are text in both, such as 1.5s.
func newLogger(lines *lineQueue, c config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch {
			case len(groups) == 0 && a.Key == slog.TimeKey:
				a.Value = slog.TimeValue(a.Value.Time().In(c.Zone))
			case a.Value.Kind() == slog.KindDuration:
				a.Value = slog.StringValue(rounded(a.Value.Duration()).String())
			}
			return a
		},
	}
	if c.Debug {
		opts.Level = slog.LevelDebug
	}
	if f, ok := lines.to.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(lines, opts))
	}
	return slog.New(slog.NewJSONHandler(lines, opts))
}

// rounded rounds a duration to three or four digits.
func rounded(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for d.Abs() >= 10_000*unit {
		unit *= 10
	}
	return d.Round(unit)
}
