package occupancy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"io"
	"strings"
	"time"
)

// Fingerprint is a hash of everything that a [Room] shows but its AsOf: two reads of a room with the same Fingerprint are equal.
// Directories of the same Secret have the same Fingerprint for the same room.
//
// A time that Prosody has stamped counts as that stamp. Programs that measure different clock differences show it some milliseconds apart.
type Fingerprint uint64

// mix returns a fingerprint that also depends on x.
func (f Fingerprint) mix(x uint64) Fingerprint {
	f = (f ^ Fingerprint(x)) * 0x9e3779b97f4a7c15
	return f ^ f>>32
}

// with returns a fingerprint that also depends on the names of shards.
func (f Fingerprint) with(names ...string) Fingerprint {
	for _, n := range names {
		f = f.mix(hashName(n))
	}
	return f
}

// FingerprintOf returns the Fingerprint of a room that isn't from a Directory.
func FingerprintOf(r Room) Fingerprint {
	return missing.mix(flags(r.Exists)).mix(uint64(r.Participants)).with(r.Shard, string(r.Source)) // #nosec G115 -- never negative
}

// missing is the Fingerprint of a room that doesn't exist, without visitors.
const missing Fingerprint = 0x6d697373696e6721

// missingFingerprint returns the fingerprint of a room of g that doesn't exist. The caller holds mu.
func (d *Directory) missingFingerprint(g *group, local string, now time.Time) Fingerprint {
	return missing.withVisitors(d, g, local, now)
}

// withVisitors returns a fingerprint that also depends on the number of visitors in a room of g on its visitor nodes, which also changes
// without an event when a node is added or retired. The caller holds the mu of d.
func (f Fingerprint) withVisitors(d *Directory, g *group, local string, now time.Time) Fingerprint {
	if !g.watchesVisitors() {
		return f
	}
	visitors := -1
	if n := d.visitorsOnNodes(g, local, now); n != nil {
		visitors = *n
	}
	return f.mix(uint64(visitors)) // #nosec G115 -- any value will do for -1
}

// fingerprints returns the Fingerprint and the AnonymousFingerprint of a room. The caller holds mu.
// Related rooms change without a change of this room, so their numbers are part of both.
func (d *Directory) fingerprints(m *mucDomain, address string, r *replicaRoom, now time.Time) (all, anonymous Fingerprint) {
	f := Fingerprint(r.hashes.address).mix(m.shard.hash)
	if parent := d.parentAddress(m, address); parent != "" {
		_, domain, _ := strings.Cut(parent, "@")
		f = f.mix(m.shard.domain(domain).replica.rooms[parent].hashes.address)
	}
	for other := range d.relatedRooms(m, r, now) {
		f = f.mix(uint64(other.Participants)<<2 | flags(other.Known, other.Exists)) // #nosec G115 -- never negative
	}
	f = f.withVisitors(d, m.group, r.jid.Localpart(), now)
	anonymous = f.mix(r.hashes.anonymousFacts)
	for i := 0; i < len(r.counts); i += 2 {
		pair := uint64(uint32(r.counts[i])) // #nosec G115 -- never negative
		if i+1 < len(r.counts) {
			pair |= uint64(uint32(r.counts[i+1])) << 32 // #nosec G115 -- never negative
		}
		anonymous = anonymous.mix(pair)
	}
	return f.mix(r.hashes.facts).mix(r.hashes.occupants), anonymous
}

// hashes are hashes of the parts of a room.
type hashes struct {
	address               uint64
	facts, anonymousFacts uint64 // the latter without names
	occupants             uint64 // the sum of the hashes of all records: their order means nothing
}

// hasher is the key of the hashes of texts that people write. Clients don't have it, so they can't find two texts with the same hash.
type hasher [32]byte

// newHasher returns the key for a secret, or a random one if the secret is empty.
func newHasher(secret string) *hasher {
	if secret == "" {
		secret = rand.Text()
	}
	return new(hasher(sha256.Sum256([]byte("ppch fingerprints\x00" + secret))))
}

// sum64 returns the hash of a text that begins with the key.
func sum64(keyed []byte) uint64 {
	h := sha256.Sum256(keyed)
	return binary.LittleEndian.Uint64(h[:])
}

// address returns the hash of a room's address.
func (k *hasher) address(address string) uint64 {
	var buffer [256]byte
	return sum64(append(append(append(buffer[:0], k[:]...), 'a'), address...))
}

// record returns the hash of an occupant.
func (k *hasher) record(r *Record) uint64 {
	var buffer [512]byte
	c := r.common.Value()
	b := append(append(buffer[:0], k[:]...), 'r')
	b = append(appendTime(b, r.stay(), time.Time{}), r.texts...)
	b = appendTexts(b, string(c.kind), c.rule, c.role, c.affiliation, string(c.connection))
	return sum64(binary.AppendUvarint(b, uint64(c.flags)))
}

// facts returns the hash of facts, 0 if there are none, as in a new room.
func (k *hasher) facts(f RoomFacts) uint64 {
	if f.equal(RoomFacts{}) {
		return 0
	}
	var buffer [512]byte
	b := append(append(buffer[:0], k[:]...), 'f')
	b = appendTime(b, f.Stamp, f.CreatedAt)
	b = binary.AppendUvarint(b, flags(f.Password, f.MembersOnly, f.Visitors != nil))
	if f.Visitors != nil {
		b = binary.AppendVarint(b, int64(*f.Visitors))
	}
	b = appendTexts(b, f.MeetingID, f.Subject, f.Lobby)
	for _, other := range f.Breakouts {
		b = appendTexts(b, other.JID, other.Name)
	}
	return sum64(b)
}

// appendTime appends a stamp by Prosody's clock, or else a time.
func appendTime(b []byte, stamp, at time.Time) []byte {
	if stamp.IsZero() {
		stamp = at
	}
	return binary.AppendVarint(b, stamp.UnixMilli())
}

// appendTexts appends each text after its length.
func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// hashName returns the hash of a name that the operator chose (FNV-1a).
func hashName(name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return h.Sum64()
}

// flags returns a bit for each flag.
func flags(all ...bool) (bits uint64) {
	for i, set := range all {
		if set {
			bits |= 1 << i
		}
	}
	return bits
}
