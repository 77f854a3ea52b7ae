package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// maxKeyProblems is how many problems an error lists: if File names a wrong file, every line has one.
const maxKeyProblems = 20

// maxKeyStreams is the maximum of streams=, the same as of PPCH_MAX_STREAMS.
const maxKeyStreams = 1_000_000

// keyFields are the fields of a line.
var keyFields = []string{"name", "sha256", "scope", "room", "streams", "expires"}

// keyName matches valid names of keys, which have no special characters of logs.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// parseKeys reads the text of a file of keys.
// Each line has one key, as fields of the form name=value with white space between them;
// empty lines, and those that begin with #, are skipped.
// They must differ from the known keys.
//
// The error names each wrong line. It shows no value that could be the key itself by mistake.
func parseKeys(text string, names *occupancy.NameResolver, known ...*Key) ([]*Key, error) {
	keys, problems := readKeys(text, names, known...)
	if len(problems) > 0 {
		return nil, errors.New(strings.Join(shortList(problems), "\n  "))
	}
	return keys, nil
}

// shortList returns the first problems, and how many more there are.
func shortList(problems []string) []string {
	if more := len(problems) - maxKeyProblems; more > 0 {
		return append(slices.Clip(problems[:maxKeyProblems]), fmt.Sprintf("and %d more", more))
	}
	return problems
}

// readKeys returns the keys of the valid lines, and what is wrong with the others.
func readKeys(text string, names *occupancy.NameResolver, known ...*Key) (keys []*Key, problems []string) {
	where := map[any]string{} // the line of each name and each sum
	for _, k := range known {
		where[k.name], where[k.sum] = k.name, k.name
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) { // some editors begin a file with a BOM
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseKey(line, names)
		if err == nil {
			err = checkUnique(where, k)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		here := fmt.Sprintf("line %d", n)
		where[k.name], where[k.sum] = here, here
		keys = append(keys, k)
	}
	return keys, problems
}

// checkUnique returns an error if another key has the name of k, which would make the log ambiguous,
// or its sum, which would make the rights ambiguous.
func checkUnique(where map[any]string, k *Key) error {
	if other, ok := where[k.name]; ok {
		return fmt.Errorf("name: already used in %s", other)
	}
	if other, ok := where[k.sum]; ok {
		return fmt.Errorf("sha256: duplicate of the key in %s", other)
	}
	return nil
}

// parseKey reads one line.
func parseKey(line string, names *occupancy.NameResolver) (*Key, error) {
	k := &Key{}
	seen := map[string]bool{}
	for i, word := range strings.Fields(line) {
		field, value, ok := strings.Cut(word, "=")
		if !ok || !slices.Contains(keyFields, field) {
			return nil, fmt.Errorf("word %d is not a field: use %s=", i+1, strings.Join(keyFields, "=, "))
		}
		if seen[field] {
			return nil, fmt.Errorf("%s: duplicate field: separate values with commas", field)
		}
		seen[field] = true
		if err := k.set(field, value, names); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
	}
	for _, field := range []string{"name", "sha256", "scope"} {
		if !seen[field] {
			return nil, fmt.Errorf("%s= is missing", field)
		}
	}
	return k, nil
}

// set parses the value of a field into k.
func (k *Key) set(field, value string, names *occupancy.NameResolver) (err error) {
	switch field {
	case "name":
		k.name = value
		if !keyName.MatchString(value) {
			return errors.New("use up to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit")
		}
	case "sha256":
		sum, err := hex.DecodeString(value)
		if err != nil || len(sum) != len(k.sum) {
			return errors.New(`use the 64 hexadecimal digits that "ppch key new" prints, not the key itself`)
		}
		copy(k.sum[:], sum)
	case "scope":
		for word := range strings.SplitSeq(value, ",") {
			s := parseScope(word)
			if s == 0 {
				return fmt.Errorf("unknown scope %q: use count, participants, events, metrics, history, webhooks, share or all", word)
			}
			k.scopes |= s
		}
		if k.IsLink() && k.scopes&^(ScopeShare|ScopeParticipants|ScopeCount) != 0 {
			return errors.New("share goes with participants only: make an API key for the other scopes")
		}
	case "room":
		for written := range strings.SplitSeq(value, ",") {
			p, err := parseRoomPattern(written, names)
			if err != nil {
				return err
			}
			k.rooms = append(k.rooms, p)
		}
	case "streams":
		if k.streams, err = strconv.Atoi(value); err != nil || k.streams < 1 || k.streams > maxKeyStreams {
			return fmt.Errorf("%q is not a number from 1 to %d", value, maxKeyStreams)
		}
	case "expires":
		k.expires, err = parseExpiry(value)
	}
	return err
}

// parseExpiry returns when a key expires: at the given time, or at the end of the given day.
func parseExpiry(value string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, value); err == nil && day.Unix() >= 0 {
		return day.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.Unix() < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z", value)
	}
	return t, nil
}

// line returns the line for k, which parseKey parses to k.
func (k *Key) line(names *occupancy.NameResolver) string {
	fields := []string{"name=" + k.name, "sha256=" + hex.EncodeToString(k.sum[:]), "scope=" + strings.Join(k.scopes.words(), ",")}
	if k.rooms != nil {
		var rooms []string
		for _, p := range k.rooms {
			rooms = append(rooms, p.write(names))
		}
		fields = append(fields, "room="+strings.Join(rooms, ","))
	}
	if k.streams > 0 {
		fields = append(fields, "streams="+strconv.Itoa(k.streams))
	}
	if !k.expires.IsZero() {
		expires := k.expires.Format(time.RFC3339Nano)
		day := k.expires.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		if end, err := parseExpiry(day); err == nil && end.Equal(k.expires) {
			expires = day
		}
		fields = append(fields, "expires="+expires)
	}
	return strings.Join(fields, " ")
}
