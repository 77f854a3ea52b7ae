package keys

import "ppch/component/occupancy"

// MaxGuessers is how many addresses that sent a wrong key a Keyring remembers.
const MaxGuessers = maxGuessers

// Guessers returns how many it remembers.
func (k *Keyring) Guessers() int { return k.wrong.limiters.Len() }

// Rewrite returns the keys of a file, each as the line that means it.
func Rewrite(text string, names *occupancy.NameResolver) (lines []string, err error) {
	all, err := parseKeys(text, names)
	for _, key := range all {
		lines = append(lines, key.line(names))
	}
	return lines, err
}
