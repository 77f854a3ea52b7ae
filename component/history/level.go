package history

import "fmt"

// Level is how much of a person is recorded. A higher one includes all that a lower one has.
type Level int

// The levels.
const (
	LevelOff        Level = iota // nothing
	LevelNumbers                 // rooms, and when someone came and left
	LevelPseudonyms              // also a pseudonym for each user id, which can't be reversed once its key is dropped
	LevelNames                   // also nick, display name and user id
)

var levelWords = [...]string{"off", "numbers", "pseudonyms", "names"}

// ParseLevel returns the level for a word, or an error that lists the words.
func ParseLevel(word string) (Level, error) {
	for i, w := range levelWords {
		if w == word {
			return Level(i), nil
		}
	}
	return LevelOff, fmt.Errorf("history: %q is not a level: use off, numbers, pseudonyms or names", word)
}

// String returns the word for l.
func (l Level) String() string { return levelWords[l] }
