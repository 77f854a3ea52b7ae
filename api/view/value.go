package view

import (
	"time"

	"ppch/component/occupancy"
)

// Timestamp is RFC 3339 in UTC with exactly three digits of milliseconds, so that timestamps sort as text.
const Timestamp = "2006-01-02T15:04:05.000Z"

// FormatTime returns t as a Timestamp.
func FormatTime(t time.Time) string { return t.UTC().Format(Timestamp) }

// Stamp returns t for a document, nil (null) for the zero time.
func Stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(FormatTime(t))
}

// ParseTime parses a Timestamp, or any other time of RFC 3339; nil (null) and the empty string are the zero time.
func ParseTime(text *string) (time.Time, error) {
	if text == nil || *text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, *text)
}

// OrNull returns s for a document, nil (null) for the empty string.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Reason returns the reason and the remedy of a problem for a document, both nil (null) without one.
func Reason(problem *occupancy.UnavailableError) (*occupancy.Reason, *string) {
	if problem == nil {
		return nil, nil
	}
	return &problem.Reason, &problem.Remedy
}
