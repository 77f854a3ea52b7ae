package prosodytest_test

import (
	"fmt"
	"testing"

	"ppch/prosody/prosodytest"
)

// outcome is how New ended a test. The test panics with it.
type outcome string

// recordedTest is a test that panics with its outcome.
type recordedTest struct{ testing.TB }

func (recordedTest) Helper()           {}
func (recordedTest) Skip(args ...any)  { panic(outcome("skipped: " + fmt.Sprint(args...))) }
func (recordedTest) Fatal(args ...any) { panic(outcome("failed: " + fmt.Sprint(args...))) }

func TestNew_SkipsOnlyOutsideCI(t *testing.T) {
	if testing.Short() {
		t.Skip("-short always skips")
	}
	const missing = `: prosodytest: no prosody found: install it, or set PPCH_TEST_PROSODY to its path: exec: "prosody": executable file not found in $PATH`
	for name, tc := range map[string]struct {
		env  map[string]string
		want outcome
	}{
		"without Prosody":            {nil, "skipped" + missing},
		"without Prosody in CI":      {map[string]string{"CI": "true"}, "failed" + missing},
		"without a required Prosody": {map[string]string{"PPCH_REQUIRE_PROSODY": "1"}, "failed" + missing},
		"without the Prosody in PPCH_TEST_PROSODY": {
			map[string]string{"PPCH_TEST_PROSODY": "/nowhere/prosody"},
			`failed: prosodytest: find prosody: exec: "/nowhere/prosody": stat /nowhere/prosody: no such file or directory`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"PATH", "CI", "PPCH_REQUIRE_PROSODY", "PPCH_TEST_PROSODY"} {
				t.Setenv(key, tc.env[key])
			}
			defer func() {
				if got := recover(); got != tc.want {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}()
			prosodytest.New(recordedTest{t}, prosodytest.Options{})
		})
	}
}
