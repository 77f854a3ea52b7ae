package prosodytest

import (
	"context"
	"errors"
	"os"
	"testing"
)

// New starts a server for one test and closes it when the test ends.
// Without a Prosody the test is skipped; where the environment has CI or
// PPCH_REQUIRE_PROSODY it fails, so that a test cannot go missing unseen.
// The end of Prosody's log is shown when the test has failed.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(context.Background(), o)
	if errors.Is(err, ErrNoProsody) && os.Getenv("CI") == "" && os.Getenv("PPCH_REQUIRE_PROSODY") == "" {
		t.Skip(err)
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
