package occupancy_test

import (
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestNames_BlankOrInvisibleIsNone(t *testing.T) {
	const muc = "muc.meet.jitsi"
	for name, want := range map[string]string{
		"Ada":            "Ada",
		" Ada ":          " Ada ",
		"\u200bAda":      "\u200bAda",
		"🤖":              "🤖",
		"\u0600":         "\u0600", // ARABIC NUMBER SIGN, a format character that is drawn
		"":               "",
		" \t\n\u00a0":    "",
		"\u200b\u200d":   "", // ZERO WIDTH SPACE and JOINER
		"\u202e\u2066":   "", // direction
		"\ufeff\u00ad":   "", // ZERO WIDTH NO-BREAK SPACE, SOFT HYPHEN
		"\u3164\u115f":   "", // Hangul fillers
		"\u2800":         "", // BRAILLE PATTERN BLANK
		"\ufe0f\u034f":   "", // VARIATION SELECTOR, COMBINING GRAPHEME JOINER
		"\U000e0041\x7f": "", // TAG LATIN CAPITAL LETTER A, DELETE
	} {
		d := newDirectory(jid.MustParse(muc))
		d.Begin(jid.MustParse(muc), occupancy.Trust{})
		err := d.Apply(jid.MustParse(muc), occupancy.Batch{Synced: true, Rooms: 1, Occupants: 1, Deltas: []occupancy.Delta{{
			Room: "r@" + muc, New: true, Present: []occupancy.Occupant{{ID: "1a2b3c4d", Name: name}},
		}}}, at(0))
		if err != nil {
			t.Fatal(err)
		}
		room, _ := d.Room(jid.MustParse("r@" + muc))
		if got := room.Occupants[0].Name; got != want {
			t.Errorf("%+q: got %+q want %+q", name, got, want)
		}
	}
}
