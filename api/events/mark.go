package events

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"ppch/component/occupancy"
)

// mark is a place in the history of a shard: a client that has it knows every change up to there.
type mark struct {
	key   uint64 // names the shard and its epoch
	seq   uint64 // of the batch
	index int    // of the last known change in the batch; whole if all are known
}

// whole is the index of a mark at the end of a batch.
const whole = math.MaxInt32

// keySize is how many bytes of a hash name a shard and its epoch. An id has one for each of up to 50 shards.
const keySize = 5

// markOf returns the mark of a place in the history of a shard; the zero mark for an unknown one.
func markOf(shard string, at occupancy.Origin, index int) mark {
	if at.Epoch == "" {
		return mark{}
	}
	sum := sha256.Sum256([]byte(shard + "\x00" + at.Epoch))
	return mark{key: binary.BigEndian.Uint64(sum[:8]) >> (64 - 8*keySize), seq: at.Seq, index: index}
}

// covers reports whether everything up to other is known at m.
func (m mark) covers(other mark) bool {
	return m.key == other.key && (m.seq > other.seq || m.seq == other.seq && m.index >= other.index)
}

// marks are places in the histories of shards, by name. What is the same for all programs that follow the same shards has the same id.
type marks map[string]mark

// marksOf returns the marks of whole batches.
func marksOf(origins map[string]occupancy.Origin) marks {
	all := make(marks, len(origins))
	for shard, at := range origins {
		all[shard] = markOf(shard, at, whole)
	}
	return all
}

// idVersion begins the id of marks. Ids of a single process never contain a dot.
const idVersion = "1."

// id returns the id of marks: about 14 characters for each shard, at most 19.
func (m marks) id() string { return idOf(slices.Collect(maps.Values(m))) }

func idOf(all []mark) string {
	slices.SortStableFunc(all, func(a, b mark) int { return cmp.Compare(a.key, b.key) })
	bytes := make([]byte, 0, 16*len(all))
	for _, one := range all {
		for shift := 8 * (keySize - 1); shift >= 0; shift -= 8 {
			bytes = append(bytes, byte(one.key>>shift)) // #nosec G115 -- its lowest eight bits
		}
		bytes = binary.AppendUvarint(bytes, one.seq)
		bytes = binary.AppendUvarint(bytes, uint64(uint32((one.index+1)&whole))) // #nosec G115 -- whole+1 becomes 0
	}
	return idVersion + base64.RawURLEncoding.EncodeToString(bytes)
}

// maxID is the longest id that a client may send.
const maxID = 4096

// parseMarks returns the marks of an id, by key, or false if the text is not one.
func parseMarks(id string) (map[uint64]mark, bool) {
	text, ok := strings.CutPrefix(id, idVersion)
	if !ok || len(id) > maxID {
		return nil, false
	}
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	found := make(map[uint64]mark)
	for len(bytes) > 0 {
		if len(bytes) < keySize {
			return nil, false
		}
		var one mark
		for _, b := range bytes[:keySize] {
			one.key = one.key<<8 | uint64(b)
		}
		bytes = bytes[keySize:]
		seq, n := binary.Uvarint(bytes)
		if n <= 0 {
			return nil, false
		}
		index, k := binary.Uvarint(bytes[n:])
		if k <= 0 || index > whole {
			return nil, false
		}
		bytes = bytes[n+k:]
		if one.seq, one.index = seq, int(index)-1; index == 0 {
			one.index = whole
		}
		found[one.key] = one
	}
	return found, idOf(slices.Collect(maps.Values(found))) == id
}
