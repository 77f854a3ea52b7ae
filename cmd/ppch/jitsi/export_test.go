package jitsi

import (
	"context"
	"regexp"
)

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

// ApplyFirst does what Apply does up to the n-th rename, where it is killed: the rest stays beside its place.
func (p *Plan) ApplyFirst(n int) (all int, err error) {
	staged, err := p.stage()
	if err != nil {
		return 0, err
	}
	if !p.final {
		if err := p.journal.write(); err != nil {
			return 0, err
		}
	}
	for _, s := range staged[:min(n, len(staged))] {
		if err := s.replace(); err != nil {
			return 0, err
		}
	}
	return len(staged), nil
}

// ApplyHindered is Apply with something happening after all was staged.
func (p *Plan) ApplyHindered(hinder func()) error {
	return p.Apply(hindering{context.Background(), hinder})
}

// hindering is a context that does something when it is looked at, which Apply does at that moment.
type hindering struct {
	context.Context
	hinder func()
}

func (h hindering) Err() error {
	h.hinder()
	return nil
}
