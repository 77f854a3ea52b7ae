package keys

import "ppch/component/occupancy"

// MaxGuessers is the maximum number of addresses that a Keyring remembers.
const MaxGuessers = maxGuessers

// Guessers returns the number of remembered addresses.
func (k *Keyring) Guessers() int { return k.wrong.limiters.Len() }

// Rewrite returns the keys of a file as lines.
func Rewrite(text string, names *occupancy.NameResolver) (lines []string, err error) {
	all, err := parseKeys(text, names)
	for _, key := range all {
		lines = append(lines, key.line(names))
	}
	return lines, err
}
