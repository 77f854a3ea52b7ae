package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ppch/component/occupancy"
)

// MaxShared is the maximum number of keys and share links in a List.
const MaxShared = 4096

// List is a list of keys and share links that several nodes share.
type List interface {
	// Lines returns the list in the form of a file of keys. The error says why it isn't known, or not any more.
	Lines() (string, error)

	// Changed returns a channel that is closed when the list, or why it is unknown, changes after this call.
	Changed() <-chan struct{}
}

// UnknownKeysError is the error of a key that may be on a list which isn't known. Its cause says why.
type UnknownKeysError struct{ Err error }

func (e *UnknownKeysError) Error() string { return "keys: list of keys unknown: " + e.Err.Error() }

// Unwrap returns why the list is unknown.
func (e *UnknownKeysError) Unwrap() error { return e.Err }

// Unknown returns an [*UnknownKeysError] if the keyring's List isn't known, or nil.
func (k *Keyring) Unknown() error {
	if k.shared == nil || k.sharedKnown.Load() {
		return nil
	}
	_, err := k.shared.Lines()
	if err == nil {
		return &UnknownKeysError{errors.New("the list is being read")}
	}
	return &UnknownKeysError{err}
}

// wrongKey returns the error of an unknown key: that of Unknown, or [ErrWrongKey].
func (k *Keyring) wrongKey() error {
	if err := k.Unknown(); err != nil {
		return err
	}
	return ErrWrongKey
}

// followShared takes over the list whenever it changes, until ctx ends.
func (k *Keyring) followShared(ctx context.Context) error {
	for {
		changed := k.shared.Changed()
		k.takeShared()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// takeShared takes over the list if it has changed. A line that this node can't read removes only its own key:
// the list may have keys for domains that this node doesn't watch.
func (k *Keyring) takeShared() {
	lines, err := k.shared.Lines()
	known := k.ownKeys()
	switch {
	case err != nil && k.sharedKnown.Load():
		k.sharedKnown.Store(false)
		k.replace(known)
		k.log.Error("shared keys too old, and not valid any more", "err", err)
		return
	case err != nil || k.sharedKnown.Load() && lines == k.sharedLines:
		return
	}
	keys, problems := readKeys(lines, k.names, known...)
	k.replace(append(known, keys...))
	k.sharedLines = lines
	k.sharedKnown.Store(true)
	if len(problems) > 0 {
		k.log.Error("shared keys not usable on this node", "problems", strings.Join(shortList(problems), "\n  "))
	}
	k.log.Info("shared keys read", "keys", k.Count())
}

// AddLines adds lines of keys to the text of a List, and returns how many. It skips lines that the list has,
// and returns an error for a line that isn't valid, or whose name or key the list has with other rights.
func AddLines(list, lines string, names *occupancy.NameResolver) (text string, added int, err error) {
	keys, err := parseKeys(lines, names)
	if err != nil {
		return "", 0, err
	}
	have := splitLines(list)
	of := map[string]string{}
	for _, line := range have {
		of["name="+field(line, "name")], of["sha256="+field(line, "sha256")] = line, line
	}
	for _, key := range keys {
		line := key.line(names)
		byName, bySum := of["name="+key.name], of["sha256="+field(line, "sha256")]
		switch {
		case byName == line:
			continue
		case key.name == ownKey:
			return "", 0, errors.New("name: " + ownKey + " is reserved for the key that is set without a list")
		case byName != "":
			return "", 0, fmt.Errorf("name: the list has another key %s: remove it first", key.name)
		case bySum != "":
			return "", 0, fmt.Errorf("sha256: the key of %s is on the list as %s", key.name, field(bySum, "name"))
		}
		have, added = append(have, line), added+1
	}
	if len(have) > MaxShared {
		return "", 0, fmt.Errorf("a list has at most %d keys and share links: remove some first", MaxShared)
	}
	return joinLines(have), added, nil
}

// RemoveName removes the key or share link with a name from the text of a List, or returns an error if there is none.
func RemoveName(list, name string) (text string, err error) {
	var kept []string
	found := false
	for _, line := range splitLines(list) {
		if field(line, "name") == name {
			found = true
			continue
		}
		kept = append(kept, line)
	}
	if !found {
		return "", fmt.Errorf("no key or share link is named %s", name)
	}
	return joinLines(kept), nil
}

// Rights returns a line of a List without the sum of its key, for people.
func Rights(line string) string {
	var words []string
	for word := range strings.FieldsSeq(line) {
		if !strings.HasPrefix(word, "sha256=") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// CountLines returns how many keys and share links the text of a List has.
func CountLines(list string) int { return len(splitLines(list)) }

func splitLines(list string) (lines []string) {
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// field returns the value of a field of a line.
func field(line, name string) string {
	for word := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}
