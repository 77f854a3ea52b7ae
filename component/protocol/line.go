package protocol

import (
	"errors"
	"fmt"
	"strings"

	"ppch/component/occupancy"
)

// The fields of a line about an occupant, in this order.
const (
	fieldSign = iota
	fieldNick
	fieldRealJID
	fieldRole
	fieldAffiliation
	fieldJoined
	fieldUserID
	fieldUserName
	fieldUserGroup
	fieldUserEmail
	fieldName
	fieldAvatar
	fieldMarks
	fieldMovedFrom
	fieldConnection
	fieldCount
)

// fieldReason is the reason in the line of an occupant who left.
const fieldReason = fieldRealJID

// maxPage is how many occupants the module puts into a batch at most (prosody/README.md). decodeLines allocates no more in advance.
const maxPage = 200

var (
	errCutOff = errors.New("the last line has no line end")
	errEscape = errors.New("invalid escape sequence")
)

// decodeLines reads the text of a room into delta. The strings of occupants share memory with text.
func decodeLines(delta *occupancy.Delta, text string) error {
	if text == "" {
		return nil
	}
	delta.Present = make([]occupancy.Occupant, 0, min(strings.Count(text, "\n"), maxPage))
	for i := 1; text != ""; i++ {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return errCutOff
		}
		if err := decodeLine(delta, line); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
		text = rest
	}
	return unambiguous(delta)
}

// decodeLine reads one line, without its line end, into delta.
func decodeLine(delta *occupancy.Delta, line string) error {
	var field [fieldCount]string
	for i, more := 0, true; i < fieldCount && more; i++ {
		var err error
		field[i], line, more = strings.Cut(line, "\t")
		if field[i], err = Unescape(field[i]); err != nil {
			return fmt.Errorf("field %d: %w", i+1, err)
		}
	}
	if field[fieldNick] == "" {
		return errors.New("no nick")
	}
	switch field[fieldSign] {
	case "-":
		delta.Left = append(delta.Left, field[fieldNick])
		if reason := occupancy.ParseLeaveReason(field[fieldReason]); reason != "" {
			if delta.Reasons == nil {
				delta.Reasons = make(map[string]occupancy.LeaveReason)
			}
			delta.Reasons[field[fieldNick]] = reason
		}
		return nil
	case "+":
	default:
		return fmt.Errorf("begins with %q", field[fieldSign])
	}
	joined, err := unixMilli(field[fieldJoined])
	if err != nil {
		return err
	}
	movedFrom := field[fieldMovedFrom]
	if CheckRoom(movedFrom) != nil {
		movedFrom = ""
	}
	delta.Present = append(delta.Present, occupancy.Occupant{
		ID:          field[fieldNick],
		RealJID:     field[fieldRealJID],
		Role:        field[fieldRole],
		Affiliation: field[fieldAffiliation],
		JoinedAt:    joined,
		UserID:      field[fieldUserID],
		UserName:    field[fieldUserName],
		UserGroup:   field[fieldUserGroup],
		UserEmail:   field[fieldUserEmail],
		Name:        field[fieldName],
		AvatarURL:   field[fieldAvatar],
		Flags:       occupancy.ParsePresenceFlags(field[fieldMarks]),
		MovedFrom:   movedFrom,
		Connection:  occupancy.ParseConnection(field[fieldConnection]),
	})
	return nil
}

// unambiguous returns an error if an occupant is both present and has left: each has one line.
func unambiguous(delta *occupancy.Delta) error {
	if len(delta.Left) == 0 {
		return nil
	}
	left := make(map[string]bool, len(delta.Left))
	for _, nick := range delta.Left {
		left[nick] = true
	}
	for i := range delta.Present {
		if left[delta.Present[i].ID] {
			return fmt.Errorf("%q is present and has left", delta.Present[i].ID)
		}
	}
	return nil
}

// AppendEscaped appends a field with the escape sequences that Unescape reads.
func AppendEscaped(to []byte, field string) []byte {
	from := 0
	for i := range len(field) {
		var escape string
		switch field[i] {
		case '\\':
			escape = `\\`
		case '\t':
			escape = `\t`
		case '\n':
			escape = `\n`
		case '\r':
			escape = `\r`
		default:
			continue
		}
		to = append(append(to, field[from:i]...), escape...)
		from = i + 1
	}
	return append(to, field[from:]...)
}

// Unescape returns the value of a field of a line.
func Unescape(s string) (string, error) {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		if i+1 == len(s) {
			return "", errEscape
		}
		b.WriteString(s[:i])
		switch s[i+1] {
		case '\\':
			b.WriteByte('\\')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", errEscape
		}
		s = s[i+2:]
	}
	b.WriteString(s)
	return b.String(), nil
}
