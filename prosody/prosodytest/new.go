package prosodytest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// New starts a server for one test and closes it when the test ends.
// It skips the test with -short, or if the machine has no Prosody, see [Missing].
// If the test fails, New logs the end of Prosody's log.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no Prosody")
	}
	s, err := Start(context.Background(), o)
	if errors.Is(err, ErrNoProsody) {
		Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of Prosody's log:\n%s", tail(s.Log(), 60))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// NewCast logs in the cast of a server for one test, until the test ends.
func NewCast(t testing.TB, s *Server) *Cast {
	t.Helper()
	cast, err := s.Cast(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cast.Close() }) // the server may be gone first
	return cast
}

// Installed returns the path of a program for a test.
// It also searches /usr/sbin, which Debian has only in root's PATH.
// It skips the test with -short, or if the program is missing, see [Missing].
func Installed(t testing.TB, program string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no " + program)
	}
	for _, path := range []string{program, "/usr/sbin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	Missing(t, "this machine has no "+program)
	return ""
}

// Missing skips a test because the machine lacks something; why is the reason.
// If CI or PPCH_REQUIRE_PROSODY is set it fails the test instead, so that no
// test is skipped unnoticed.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("PPCH_REQUIRE_PROSODY") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
