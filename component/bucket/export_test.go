package bucket

import "testing"

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
