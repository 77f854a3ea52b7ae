package jitsi

import "regexp"

var key = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsKey tells whether s is what people name a variable.
func IsKey(s string) bool { return key.MatchString(s) && s != "export" }

// Texts returns the stretches that the file is made of.
func (f *EnvFile) Texts() (all []string) {
	for _, item := range f.items {
		all = append(all, item.text)
	}
	return all
}

// Last returns which of them counts for a key.
func (f *EnvFile) Last(key string) int { return f.last(key) }
