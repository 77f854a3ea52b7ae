package occupancy_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"

	"ppch/component/occupancy"
)

// producible are the localparts that Jitsi can bring about: the image of encodeURIComponent,
// lower-cased, without the apostrophe that XMPP forbids, behind a tenant that can be part of a host name.
var producible = regexp.MustCompile(`^(\[[a-z0-9_-]+\])?([a-z0-9_.!~*()-]|%[0-9a-f]{2})+$`)

// FuzzNames holds that whatever is written, Room returns either a reason
// or a JID that Jitsi could have made and that stands for itself.
func FuzzNames(f *testing.F) {
	data, err := os.ReadFile("testdata/names.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ In string }
	if err := json.Unmarshal(data, &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.In)
	}
	n := names(watched...)
	f.Fuzz(func(t *testing.T, written string) {
		got, err := n.Room(written)
		if err != nil {
			var name *occupancy.NameError
			if !errors.As(err, &name) || name.Reason == "" {
				t.Fatalf("%q: got error %#v, want a NameError with a reason", written, err)
			}
			return
		}
		local := got.Localpart()
		if !producible.MatchString(local) || len(local) > 1023 {
			t.Errorf("%q: got localpart %q of %d bytes, which Jitsi can't produce", written, local, len(local))
		}
		if !slices.Contains(watched, got.Domainpart()) || got.Resourcepart() != "" {
			t.Errorf("%q: got %s, want a bare JID on a watched domain", written, got)
		}
		again, err := n.Room(got.String())
		if err != nil || !again.Equal(got) {
			t.Errorf("%q: got %s, which reads as %s, %v", written, got, again, err)
		}
	})
}
