package bucket_test

import (
	"bytes"
	"testing"

	"ppch/component/bucket"
)

func TestSeal_RoundTrip(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]bucket.Entry{
		"a value":         {Name: "keys", Value: []byte("name=a"), Generation: 1 << 41},
		"no value":        {Name: "keys", Value: []byte{}, Generation: 1},
		"a removed entry": {Name: "webhook.x", Value: []byte{}, Removed: true, Generation: 7},
	} {
		sealed := bucket.Seal(t, secret, e)
		got, err := bucket.Open(secret, e.Name, sealed)
		if err != nil || got.Name != e.Name || got.Generation != e.Generation || got.Removed != e.Removed || !bytes.Equal(got.Value, e.Value) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if _, err := bucket.Open("another secret", e.Name, sealed); err == nil {
			t.Errorf("%s: opens with another secret", name)
		}
		if _, err := bucket.Open(secret, e.Name+"x", sealed); err == nil {
			t.Errorf("%s: opens under another name", name)
		}
	}
}

// No bytes but those that this cluster has sealed open, and none harm.
func FuzzEntry(f *testing.F) {
	sealed := bucket.Seal(f, secret, bucket.Entry{Name: "keys", Value: []byte("name=a"), Generation: 5})
	f.Add("keys", sealed)
	f.Add("other", sealed)
	f.Add("keys", []byte("ppch-bucket/1\n"))
	f.Add("keys", []byte("ppch-bucket/2\nabc"))
	f.Add("keys", []byte("ppch-bucket/01\nabc"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		e, err := bucket.Open(secret, name, data)
		if err == nil && (name != "keys" || !bytes.Equal(data, sealed) || string(e.Value) != "name=a") {
			t.Errorf("%q opens as %q: %+v", data, name, e)
		}
	})
}
