package prosodytest_test

import (
	"fmt"
	"testing"

	"ppch/prosody/prosodytest"
)

// verdict is what New made of a test, raised in place of ending it.
type verdict string

// judged is a test that tells how it ends.
type judged struct{ testing.TB }

func (judged) Helper()           {}
func (judged) Skip(args ...any)  { panic(verdict("skipped: " + fmt.Sprint(args...))) }
func (judged) Fatal(args ...any) { panic(verdict("failed: " + fmt.Sprint(args...))) }

func TestNew_SkipsOnlyOutsideCI(t *testing.T) {
	if testing.Short() {
		t.Skip("-short always skips")
	}
	const missing = `: prosodytest: no prosody found: install it, or name it in PPCH_TEST_PROSODY: exec: "prosody": executable file not found in $PATH`
	for name, tc := range map[string]struct {
		env  map[string]string
		want verdict
	}{
		"without Prosody":                  {nil, "skipped" + missing},
		"without Prosody in CI":            {map[string]string{"CI": "true"}, "failed" + missing},
		"without Prosody that is required": {map[string]string{"PPCH_REQUIRE_PROSODY": "1"}, "failed" + missing},
		"without the Prosody that was named": {
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
			prosodytest.New(judged{t}, prosodytest.Options{})
		})
	}
}
