package occupancy_test

import (
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestOccupant_InvisibleNameIsEmpty(t *testing.T) {
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
		mainOf(d).Begin(jid.MustParse(muc), occupancy.SystemAccounts{})
		err := mainOf(d).Apply(jid.MustParse(muc), occupancy.Batch{Synced: true, Rooms: 1, Occupants: 1, Deltas: []occupancy.Delta{{
			Room: "r@" + muc, New: true, Present: []occupancy.Occupant{{ID: "1a2b3c4d", Name: name}},
		}}}, at(0))
		check(t, err)
		room, _ := d.Room(jid.MustParse("r@" + muc))
		if got := room.Occupants[0].Occupant().Name; got != want {
			t.Errorf("%+q: got %+q want %+q", name, got, want)
		}
	}
}

func TestMarks_ParseAndString(t *testing.T) {
	for _, c := range []struct {
		in, want             string
		hand                 bool
		audio, video, screen occupancy.MediaState
	}{
		{in: "", want: ""},
		{in: "hand audio-muted video-on", want: "hand audio-muted video-on", hand: true, audio: occupancy.MediaMuted, video: occupancy.MediaOn},
		{in: "video-muted jigasi", want: "jigasi video-muted", video: occupancy.MediaMuted},
		{in: "screen-on video-muted", want: "video-muted screen-on", video: occupancy.MediaMuted, screen: occupancy.MediaOn},
		{in: "screen-off", want: "screen-off", screen: occupancy.MediaMuted},
		{in: "audio-on audio-on", want: "audio-on", audio: occupancy.MediaOn},
		{in: "audio-on audio-muted", want: "audio-muted audio-on", audio: occupancy.MediaMuted},
		{in: "  sip-jibri  Hand waving ", want: "sip-jibri"},
		{in: "transcriber jibri initiator", want: "transcriber jibri initiator"},
	} {
		m := occupancy.ParsePresenceFlags(c.in)
		if m.String() != c.want || m.HandRaised() != c.hand || m.Audio() != c.audio || m.Video() != c.video || m.Screen() != c.screen {
			t.Errorf("%q: got %q, hand %t, audio %q, video %q, screen %q; want %+v", c.in, m, m.HandRaised(), m.Audio(), m.Video(), m.Screen(), c)
		}
		if again := occupancy.ParsePresenceFlags(m.String()); again != m {
			t.Errorf("%q: got %b, which reads as %b", c.in, m, again)
		}
	}
}
