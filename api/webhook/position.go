package webhook

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Position is a position in the sequence of changes of a shard. Sequence numbers count within an epoch, which begins when the service starts
// that is connected to the shard's Prosody.
type Position struct {
	Shard string
	Epoch string // as [NewEpoch] returns it: the text of a later epoch is greater
	Seq   uint64
}

// String returns p as SHARD:EPOCH:SEQ.
func (p Position) String() string { return fmt.Sprintf("%s:%s:%d", p.Shard, p.Epoch, p.Seq) }

// ErrPosition is the error of a text that is no position.
var ErrPosition = errors.New("webhook: a position is SHARD:EPOCH:SEQ")

var (
	shardForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	epochForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9]{1,16}$`)
)

// ParsePosition returns the position that String writes as text.
func ParsePosition(text string) (Position, error) {
	shard, rest, _ := strings.Cut(text, ":")
	epoch, number, _ := strings.Cut(rest, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || !shardForm.MatchString(shard) || !epochForm.MatchString(epoch) {
		return Position{}, ErrPosition
	}
	return Position{shard, epoch, seq}, nil
}

// NewEpoch returns the name of an epoch that begins now: a time, and what tells apart epochs that begin in the same second.
func NewEpoch(now time.Time) string {
	return now.UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6])
}
