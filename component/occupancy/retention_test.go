package occupancy_test

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// All strings of a batch are parts of one text, of which a room needs only little.
func TestDirectory_KeepsNoTextOfBatch(t *testing.T) {
	t.Parallel()
	d := newDirectory(muc)
	prosody := mainOf(d)
	prosody.Begin(muc, jitsi)
	text := weak.Make(unsafe.StringData(applyText(t, prosody)))
	for range 5 {
		runtime.GC()
	}
	if text.Value() != nil {
		t.Error("got the text of the batch still in memory want it collected")
	}
	if room, err := d.Room(jid.MustParse("a@muc.meet.jitsi")); err != nil || len(room.Occupants) != 1 || room.Subject != "Weekly" {
		t.Errorf("got %+v, %v", room, err)
	}
}

// applyText applies a batch whose strings share one text, and returns that.
func applyText(t *testing.T, prosody *occupancy.Shard) string {
	t.Helper()
	text := strings.Clone("a@muc.meet.jitsi Weekly 1234 lobby.a@lobby.meet.jitsi b@breakout.meet.jitsi Green ann Ann participant none " +
		"ann@meet.jitsi/x https://example.com/ann.png")
	f := strings.Fields(text)
	delta := fullRoom(f[0], occupancy.Occupant{ID: f[6], Name: f[7], Role: f[8], Affiliation: f[9], RealJID: f[10], AvatarURL: f[11], JoinedAt: at(0)})
	delta.Facts = &occupancy.RoomFacts{Subject: f[1], MeetingID: f[2], Lobby: f[3], Breakouts: []occupancy.Breakout{{JID: f[4], Name: f[5]}}}
	check(t, prosody.Apply(muc, synced(1, 1, delta), at(0)))
	return text
}
