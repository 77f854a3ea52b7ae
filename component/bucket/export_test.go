package bucket

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// SavedFor is how long saved settings are used.
const SavedFor = savedFor

// WriteSaved writes a file of saved settings with a single entry.
func WriteSaved(t testing.TB, path, secret, bucket string, looked time.Time, e Entry) {
	t.Helper()
	s, err := newSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(saved{Bucket: bucket, Looked: looked, Entries: map[string]Entry{e.Name: e}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, s.seal(Entry{Name: savedName, Value: value}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Seal returns an entry as it is stored.
func Seal(t testing.TB, secret string, e Entry) []byte {
	t.Helper()
	s, err := newSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s.seal(e)
}

// Open returns the entry that was stored under a name.
func Open(secret, name string, data []byte) (Entry, error) {
	s, err := newSealer(secret)
	if err != nil {
		return Entry{}, err
	}
	return s.open(name, data)
}
