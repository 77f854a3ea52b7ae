package occupancy_test

import (
	"testing"

	"ppch/component/occupancy"
)

// jitsi is what docker-jitsi-meet's configuration tells of its machinery.
var jitsi = occupancy.Trust{
	Recorders:    []string{"recorder@hidden.meet.jitsi"},
	Transcribers: []string{"transcriber@hidden.meet.jitsi"},
	Hidden:       []string{"hidden.meet.jitsi"},
}

func TestClassify(t *testing.T) {
	const gateway = occupancy.MarkJibri | occupancy.MarkSIPJibri
	forged := occupancy.ParseMarks("transcriber jibri sip-jibri")
	for _, c := range []struct {
		name  string
		nick  string
		jid   string
		role  string
		marks occupancy.Marks
		trust occupancy.Trust
		want  occupancy.Kind
	}{
		{name: "a guest", nick: "1a2b3c4d", jid: "q1@meet.jitsi/web", trust: jitsi, want: occupancy.KindUser},
		{name: "nobody knows who", nick: "1a2b3c4d", trust: jitsi, want: occupancy.KindUser},
		{name: "Jicofo", nick: "focus", jid: "focus@auth.meet.jitsi/focus", trust: jitsi, want: occupancy.KindFocus},
		{name: "Jicofo where nothing is trusted", nick: "focus", jid: "focus@auth.meet.jitsi/focus", want: occupancy.KindFocus},
		{name: "a guest who took the nick of Jicofo", nick: "focus", jid: "q1@meet.jitsi/focus", trust: jitsi, want: occupancy.KindUser},
		{name: "a user called focus under another nick", nick: "1a2b3c4d", jid: "focus@meet.jitsi/web", trust: jitsi, want: occupancy.KindUser},
		{name: "focus without a localpart", nick: "focus", jid: "focus/focus@x", trust: jitsi, want: occupancy.KindUser},

		{name: "Jibri", nick: "5e6f7a8b", jid: "recorder@hidden.meet.jitsi/j", marks: occupancy.MarkJibri, trust: jitsi, want: occupancy.KindRecorder},
		{name: "Jibri without marks", nick: "5e6f7a8b", jid: "recorder@hidden.meet.jitsi/j", trust: jitsi, want: occupancy.KindRecorder},
		{name: "one of several recorders", nick: "x", jid: "jibria@recorder.b/j", trust: occupancy.Trust{Recorders: []string{"jibria@recorder.a", "jibria@recorder."}}, want: occupancy.KindRecorder},
		{name: "SIP-Jibri under the recorder's account", nick: "x", jid: "recorder@hidden.meet.jitsi/j", marks: gateway, trust: jitsi, want: occupancy.KindSIPVideo},
		{name: "SIP-Jibri under an account of its own", nick: "x", jid: "sip@hidden.meet.jitsi/j", marks: gateway, trust: jitsi, want: occupancy.KindSIPVideo},
		{name: "half the marks of SIP-Jibri", nick: "x", jid: "recorder@hidden.meet.jitsi/j", marks: occupancy.MarkSIPJibri, trust: jitsi, want: occupancy.KindRecorder},
		{name: "a recorder where nothing is trusted", nick: "x", jid: "recorder@hidden.meet.jitsi/j", marks: occupancy.MarkJibri, want: occupancy.KindUser},
		{name: "an empty prefix is no prefix", nick: "x", jid: "q1@meet.jitsi/web", trust: occupancy.Trust{Recorders: []string{""}, Transcribers: []string{""}}, want: occupancy.KindUser},

		{name: "a transcriber", nick: "x", jid: "transcriber@hidden.meet.jitsi/t", trust: jitsi, want: occupancy.KindTranscriber},
		{name: "a transcriber under another hidden account", nick: "x", jid: "jigasi@hidden.meet.jitsi/t", marks: occupancy.MarkTranscriber | occupancy.MarkJigasi, trust: jitsi, want: occupancy.KindTranscriber},
		{name: "somebody else on the hidden domain", nick: "x", jid: "bot@hidden.meet.jitsi/b", trust: jitsi, want: occupancy.KindHidden},
		{name: "a hidden caller stays hidden", nick: "x", jid: "bot@hidden.meet.jitsi/b", marks: occupancy.MarkInitiator, trust: jitsi, want: occupancy.KindHidden},
		{name: "a domain that only ends like the hidden one", nick: "x", jid: "bot@un.hidden.meet.jitsi/b", trust: jitsi, want: occupancy.KindUser},
		{name: "a resource that looks like the hidden domain", nick: "x", jid: "q1@meet.jitsi/recorder@hidden.meet.jitsi", trust: jitsi, want: occupancy.KindUser},

		{name: "a visitor", nick: "x", jid: "q1@meet.jitsi/web", role: "visitor", trust: jitsi, want: occupancy.KindVisitor},
		{name: "a visitor with a telephone", nick: "x", jid: "q1@meet.jitsi/web", role: "visitor", marks: occupancy.MarkInitiator, trust: jitsi, want: occupancy.KindVisitor},
		{name: "a caller", nick: "x", jid: "q2@meet.jitsi/j", marks: occupancy.MarkInitiator, trust: jitsi, want: occupancy.KindSIP},
		{name: "a caller through Jigasi with an account", nick: "x", jid: "jigasi@auth.meet.jitsi/j", marks: occupancy.MarkJigasi, trust: jitsi, want: occupancy.KindSIP},

		{name: "who forges the marks of machinery stays a person", nick: "x", jid: "q1@meet.jitsi/web", marks: forged, trust: jitsi, want: occupancy.KindUser},
		{name: "who forges those of a caller is a person as well", nick: "x", jid: "q1@meet.jitsi/web", marks: forged | occupancy.MarkJigasi, trust: jitsi, want: occupancy.KindSIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := occupancy.Occupant{ID: c.nick, RealJID: c.jid, Role: c.role, Marks: c.marks}
			if got := occupancy.Classify(&o, c.trust); got != c.want {
				t.Errorf("%s as %s: got %s want %s", c.jid, c.nick, got, c.want)
			}
		})
	}
}

func TestMarks(t *testing.T) {
	for _, c := range []struct {
		in, want             string
		hand                 bool
		audio, video, screen occupancy.Sending
	}{
		{in: "", want: ""},
		{in: "hand audio-muted video-on", want: "hand audio-muted video-on", hand: true, audio: occupancy.SendingMuted, video: occupancy.SendingOn},
		{in: "video-muted jigasi", want: "jigasi video-muted", video: occupancy.SendingMuted},
		{in: "screen-on video-muted", want: "video-muted screen-on", video: occupancy.SendingMuted, screen: occupancy.SendingOn},
		{in: "screen-off", want: "screen-off", screen: occupancy.SendingMuted},
		{in: "audio-on audio-on", want: "audio-on", audio: occupancy.SendingOn},
		{in: "audio-on audio-muted", want: "audio-muted audio-on", audio: occupancy.SendingMuted},
		{in: "  sip-jibri  Hand waving ", want: "sip-jibri"},
		{in: "transcriber jibri initiator", want: "transcriber jibri initiator"},
	} {
		m := occupancy.ParseMarks(c.in)
		if m.String() != c.want || m.HandRaised() != c.hand || m.Audio() != c.audio || m.Video() != c.video || m.Screen() != c.screen {
			t.Errorf("%q: got %q, hand %t, audio %q, video %q, screen %q; want %+v", c.in, m, m.HandRaised(), m.Audio(), m.Video(), m.Screen(), c)
		}
		if again := occupancy.ParseMarks(m.String()); again != m {
			t.Errorf("%q: got %b, which reads as %b", c.in, m, again)
		}
	}
}
