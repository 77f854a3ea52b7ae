package jitsi

import (
	"context"
	"regexp"
)

var key = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsKey reports whether s is an ordinary name of a variable.
func IsKey(s string) bool { return key.MatchString(s) && s != "export" }

// Texts returns the parts of the file.
func (f *EnvFile) Texts() (all []string) {
	for _, item := range f.items {
		all = append(all, item.text)
	}
	return all
}

// Last returns the index of the one that counts for a key.
func (f *EnvFile) Last(key string) int { return f.lastIndex(key) }

// ApplyFirst is Apply killed after n renames: the other files stay staged.
func (p *Plan) ApplyFirst(n int) (all int, err error) {
	staged, err := p.stage()
	if err != nil {
		return 0, err
	}
	if !p.uninstall {
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

// ApplyCalling is Apply, calling staged after all files are staged.
func (p *Plan) ApplyCalling(staged func()) error {
	return p.Apply(callingContext{context.Background(), staged})
}

// callingContext is a context that calls staged when its error is read, which Apply does at that moment.
type callingContext struct {
	context.Context
	staged func()
}

func (c callingContext) Err() error {
	c.staged()
	return nil
}
