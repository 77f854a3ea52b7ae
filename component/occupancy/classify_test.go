package occupancy_test

import (
	"fmt"
	"testing"

	"ppch/component/occupancy"
)

func TestClassify_RealJIDBeforeMarks(t *testing.T) {
	const gateway = occupancy.FlagJibri | occupancy.FlagSIPJibri
	forged := occupancy.ParsePresenceFlags("transcriber jibri sip-jibri")
	for _, c := range []struct {
		name     string
		nick     string
		jid      string
		role     string
		flags    occupancy.PresenceFlags
		accounts occupancy.SystemAccounts
		want     occupancy.Kind
	}{
		{name: "a guest", nick: "1a2b3c4d", jid: "q1@meet.jitsi/web", accounts: jitsi, want: occupancy.KindUser},
		{name: "an unknown real JID", nick: "1a2b3c4d", accounts: jitsi, want: occupancy.KindUser},
		{name: "Jicofo", nick: "focus", jid: "focus@auth.meet.jitsi/focus", accounts: jitsi, want: occupancy.KindFocus},
		{name: "Jicofo without configuration", nick: "focus", jid: "focus@auth.meet.jitsi/focus", want: occupancy.KindFocus},
		{name: "a guest with the nick of Jicofo", nick: "focus", jid: "q1@meet.jitsi/focus", accounts: jitsi, want: occupancy.KindUser},
		{name: "a user called focus under another nick", nick: "1a2b3c4d", jid: "focus@meet.jitsi/web", accounts: jitsi, want: occupancy.KindUser},
		{name: "focus without a localpart", nick: "focus", jid: "focus/focus@x", accounts: jitsi, want: occupancy.KindUser},

		{name: "Jibri", nick: "5e6f7a8b", jid: "recorder@hidden.meet.jitsi/j", flags: occupancy.FlagJibri, accounts: jitsi, want: occupancy.KindRecorder},
		{name: "Jibri without flags", nick: "5e6f7a8b", jid: "recorder@hidden.meet.jitsi/j", accounts: jitsi, want: occupancy.KindRecorder},
		{name: "one of several recorders", nick: "x", jid: "jibria@recorder.b/j", accounts: occupancy.SystemAccounts{Recorders: []string{"jibria@recorder.a", "jibria@recorder."}}, want: occupancy.KindRecorder},
		{name: "SIP-Jibri under the recorder's account", nick: "x", jid: "recorder@hidden.meet.jitsi/j", flags: gateway, accounts: jitsi, want: occupancy.KindSIPVideo},
		{name: "SIP-Jibri under an account of its own", nick: "x", jid: "sip@hidden.meet.jitsi/j", flags: gateway, accounts: jitsi, want: occupancy.KindSIPVideo},
		{name: "half the flags of SIP-Jibri", nick: "x", jid: "recorder@hidden.meet.jitsi/j", flags: occupancy.FlagSIPJibri, accounts: jitsi, want: occupancy.KindRecorder},
		{name: "a recorder without configuration", nick: "x", jid: "recorder@hidden.meet.jitsi/j", flags: occupancy.FlagJibri, want: occupancy.KindUser},
		{name: "an empty prefix is no prefix", nick: "x", jid: "q1@meet.jitsi/web", accounts: occupancy.SystemAccounts{Recorders: []string{""}, Transcribers: []string{""}}, want: occupancy.KindUser},

		{name: "a transcriber", nick: "x", jid: "transcriber@hidden.meet.jitsi/t", accounts: jitsi, want: occupancy.KindTranscriber},
		{name: "a transcriber under another hidden account", nick: "x", jid: "jigasi@hidden.meet.jitsi/t", flags: occupancy.FlagTranscriber | occupancy.FlagJigasi, accounts: jitsi, want: occupancy.KindTranscriber},
		{name: "another account on the hidden domain", nick: "x", jid: "bot@hidden.meet.jitsi/b", accounts: jitsi, want: occupancy.KindHidden},
		{name: "a hidden caller stays hidden", nick: "x", jid: "bot@hidden.meet.jitsi/b", flags: occupancy.FlagInitiator, accounts: jitsi, want: occupancy.KindHidden},
		{name: "a domain that only ends like the hidden one", nick: "x", jid: "bot@un.hidden.meet.jitsi/b", accounts: jitsi, want: occupancy.KindUser},
		{name: "a resource that looks like the hidden domain", nick: "x", jid: "q1@meet.jitsi/recorder@hidden.meet.jitsi", accounts: jitsi, want: occupancy.KindUser},

		{name: "a visitor", nick: "x", jid: "q1@meet.jitsi/web", role: "visitor", accounts: jitsi, want: occupancy.KindVisitor},
		{name: "a visitor with a telephone", nick: "x", jid: "q1@meet.jitsi/web", role: "visitor", flags: occupancy.FlagInitiator, accounts: jitsi, want: occupancy.KindVisitor},
		{name: "a caller", nick: "x", jid: "q2@meet.jitsi/j", flags: occupancy.FlagInitiator, accounts: jitsi, want: occupancy.KindSIP},
		{name: "a caller through Jigasi with an account", nick: "x", jid: "jigasi@auth.meet.jitsi/j", flags: occupancy.FlagJigasi, accounts: jitsi, want: occupancy.KindSIP},

		{name: "a guest who forges flags of services is still a person", nick: "x", jid: "q1@meet.jitsi/web", flags: forged, accounts: jitsi, want: occupancy.KindUser},
		{name: "a guest who forges flags of a caller is a person, too", nick: "x", jid: "q1@meet.jitsi/web", flags: forged | occupancy.FlagJigasi, accounts: jitsi, want: occupancy.KindSIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := occupancy.Occupant{ID: c.nick, RealJID: c.jid, Role: c.role, Flags: c.flags}
			if got := occupancy.Classify(&o, c.accounts); got != c.want {
				t.Errorf("%s as %s: got %s want %s", c.jid, c.nick, got, c.want)
			}
		})
	}
}

// System accounts as installations configure them. Focus is focus@auth.meet.jitsi in all of them.
var (
	// docker-jitsi-meet 2e6b31d8, prosody/rootfs/defaults/conf.d/jitsi-meet.cfg.lua:79 and :81, with its visitors_ignore_list of :231.
	inDocker = occupancy.SystemAccounts{
		Recorders:    []string{"recorder@hidden.meet.jitsi"},
		Transcribers: []string{"transcriber@hidden.meet.jitsi"},
		Hidden:       []string{"hidden.meet.jitsi"},
		Focus:        "auth.meet.jitsi",
	}
	// Debian's packages set neither option, so that jitsi-meet's resources/prosody-plugins/util.lib.lua:39 and :40 apply.
	inDebian = occupancy.SystemAccounts{
		Recorders:    []string{"jibria@recorder.", "jibrib@recorder.", "recorder@recorder."},
		Transcribers: []string{"transcriber@recorder.", "transcribera@recorder.", "transcriberb@recorder."},
		Focus:        "auth.meet.jitsi",
	}
	// A configuration by hand: Jibri enters rooms by its control login, and a recorder has an account among guests.
	byHand = occupancy.SystemAccounts{
		Recorders: []string{"recorder@hidden.meet.jitsi", "jibri@auth.meet.jitsi", "recorder@meet.jitsi"},
		Focus:     "auth.meet.jitsi",
	}
	// Both options are empty sets, and focus hasn't been seen.
	nothing = occupancy.SystemAccounts{}
)

// TestClassify_AgreesWithJitsi compares the kind of each real JID, under each accounts and with each set of flags, with Jitsi's own code:
//
//   - UTIL: jitsi-meet, resources/prosody-plugins/util.lib.lua: SIP-Jibri's e-mails :37 and :38, recorder_prefixes :39, transcriber_prefixes :40,
//     is_jibri and is_transcriber, which compare the beginning of the real JID, and is_sip_jibri_join, which wants Jibri's feature and the e-mail.
//   - JICOFO 7ebb13dc3: ChatRoomMemberImpl.kt:164-174, where the features count if the real JID's domain is trusted, and
//     JitsiMeetConferenceImpl.java:1804-1812, where a transcriber isn't counted as Jigasi.
//   - LJM 01daa07c: ChatRoom.ts:759-762, which compares the entire domain.
func TestClassify_AgreesWithJitsi(t *testing.T) {
	const (
		user, sip, video  = occupancy.KindUser, occupancy.KindSIP, occupancy.KindSIPVideo
		recorder, written = occupancy.KindRecorder, occupancy.KindTranscriber
		hidden, focus     = occupancy.KindHidden, occupancy.KindFocus
	)
	flags := []string{"", "jibri", "jibri sip-jibri", "jigasi initiator", "jigasi transcriber"}
	type kinds [5]occupancy.Kind // one for each of flags
	for _, c := range []struct {
		jid      string
		why      string
		accounts *occupancy.SystemAccounts
		want     kinds
	}{
		{"q1@meet.jitsi/web", "JICOFO:165 an untrusted domain: no feature counts but what makes a caller of a person", &inDocker, kinds{user, user, user, sip, sip}},
		{"q1@meet.jitsi/web", "the same", &inDebian, kinds{user, user, user, sip, sip}},
		{"q1@meet.jitsi/web", "UTIL:39 recorder@meet.jitsi begins no other real JID", &byHand, kinds{user, user, user, sip, sip}},
		{"q1@meet.jitsi/web", "the same", &nothing, kinds{user, user, user, sip, sip}},

		{"recorder@hidden.meet.jitsi/j", "UTIL:39 is_jibri; is_sip_jibri_join for the gateway", &inDocker, kinds{recorder, recorder, video, recorder, recorder}},
		{"recorder@hidden.meet.jitsi/j", "UTIL:39 the defaults are on recorder., and nothing names this domain", &inDebian, kinds{user, user, user, sip, sip}},
		{"recorder@hidden.meet.jitsi/j", "UTIL:39", &byHand, kinds{recorder, recorder, video, recorder, recorder}},
		{"recorder@hidden.meet.jitsi/j", "nothing proves anything", &nothing, kinds{user, user, user, sip, sip}},
		{"recorder@recorder.meet.jitsi/j", "UTIL:39 of another set", &inDocker, kinds{user, user, user, sip, sip}},
		{"recorder@recorder.meet.jitsi/j", "UTIL:39 the default", &inDebian, kinds{recorder, recorder, video, recorder, recorder}},
		{"jibria@recorder.meet.jitsi/j", "UTIL:39 the default", &inDebian, kinds{recorder, recorder, video, recorder, recorder}},
		{"jibrib@recorder.b.example/j", "UTIL:39 the default, of any domain that begins so", &inDebian, kinds{recorder, recorder, video, recorder, recorder}},
		{"jibric@recorder.meet.jitsi/j", "UTIL:39 there are no more", &inDebian, kinds{user, user, user, sip, sip}},
		{"recorder@meet.jitsi/j", "UTIL:39", &byHand, kinds{recorder, recorder, video, recorder, recorder}},
		{"bob@meet.jitsi/recorder@meet.jitsi", "UTIL:39 a resource is no beginning", &byHand, kinds{user, user, user, sip, sip}},

		{"transcriber@hidden.meet.jitsi/t", "UTIL:40 is_transcriber", &inDocker, kinds{written, written, written, written, written}},
		{"transcriber@recorder.meet.jitsi/t", "UTIL:40 the default", &inDebian, kinds{written, written, written, written, written}},
		{"transcribera@recorder.meet.jitsi/t", "UTIL:40 the default", &inDebian, kinds{written, written, written, written, written}},
		{"transcriberb@recorder.meet.jitsi/t", "UTIL:40 the default", &inDebian, kinds{written, written, written, written, written}},
		{"transcriber@hidden.meet.jitsi/t", "UTIL:40 of another set", &inDebian, kinds{user, user, user, sip, sip}},

		{"bot@hidden.meet.jitsi/b", "LJM:761 entirely hidden; JICOFO:172-174 its features count, since docker-jitsi-meet trusts that domain", &inDocker, kinds{hidden, recorder, video, hidden, written}},
		{"bot@hidden.meet.jitsi/b", "nothing but a prefix names the domain, which hides no one else", &byHand, kinds{user, user, user, sip, sip}},
		{"bot@un.hidden.meet.jitsi/b", "LJM:762 another domain", &inDocker, kinds{user, user, user, sip, sip}},

		{"jigasi@auth.meet.jitsi/j", "JICOFO:1804 the transcriber first, then the caller", &inDocker, kinds{user, recorder, video, sip, written}},
		{"jigasi@auth.meet.jitsi/j", "the same", &inDebian, kinds{user, recorder, video, sip, written}},
		{"jigasi@auth.meet.jitsi/j", "UTIL:39 jibri@auth.meet.jitsi begins no other real JID", &byHand, kinds{user, recorder, video, sip, written}},
		{"jigasi@auth.meet.jitsi/j", "JICOFO:165 without focus the domain isn't trusted", &nothing, kinds{user, user, user, sip, sip}},
		{"jibri@auth.meet.jitsi/j", "JICOFO:172", &inDocker, kinds{user, recorder, video, sip, written}},
		{"jibri@auth.meet.jitsi/j", "UTIL:39", &byHand, kinds{recorder, recorder, video, recorder, recorder}},
		{"jigasi@auth.example.com/j", "JICOFO:165 another domain", &inDocker, kinds{user, user, user, sip, sip}},

		{"", "Prosody always knows the real JID; an occupant without one proves nothing", &inDocker, kinds{user, user, user, sip, sip}},
		{"", "nor is an empty domain that of focus", &nothing, kinds{user, user, user, sip, sip}},
	} {
		for i, words := range flags {
			o := occupancy.Occupant{ID: "1a2b3c4d", RealJID: c.jid, Flags: occupancy.ParsePresenceFlags(words)}
			if got := occupancy.Classify(&o, *c.accounts); got != c.want[i] {
				t.Errorf("%s with flags %q (%s): got %s want %s", c.jid, words, c.why, got, c.want[i])
			}
		}
	}
	for jid, want := range map[string]occupancy.Kind{"jicofo@auth.meet.jitsi/x": focus, "jicofo@auth.meet.jitsi.example/x": user, "focus@auth.meet.jitsi/x": user} {
		o := occupancy.Occupant{ID: "jicofo", RealJID: jid} // debian/jitsi-meet-prosody.postinst has the operator name the account
		if got := occupancy.Classify(&o, occupancy.SystemAccounts{Jicofo: "jicofo@auth.meet.jitsi"}); got != want {
			t.Errorf("%s as jicofo: got %s want %s", jid, got, want)
		}
	}
	o := occupancy.Occupant{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus"} // ChatRoomImpl.kt:310: the nick is the account's name
	if got := occupancy.Classify(&o, nothing); got != focus {
		t.Errorf("focus: got %s", got)
	}
}

// written is Jigasi as a transcriber, under the login that it has for calls.
var transcriber = occupancy.Occupant{ID: "t", RealJID: "jigasi@auth.meet.jitsi/t", Role: "moderator", Affiliation: "owner", JoinedAt: at(3), Flags: occupancy.FlagJigasi | occupancy.FlagTranscriber}

// forger is a guest whose client says that it transcribes.
var forger = occupancy.Occupant{ID: "f", RealJID: "q-f@meet.jitsi/web", JoinedAt: at(4), Flags: occupancy.FlagJigasi | occupancy.FlagTranscriber}

func TestTranscriber_RecognisedByFocusDomain(t *testing.T) {
	const room = "daily@muc.meet.jitsi"
	guest := focus
	guest.RealJID = "focus@meet.jitsi/web"
	thief := focus
	thief.RealJID, thief.Affiliation = "focus@cast.example/web", "none"
	page := func(deltas ...occupancy.Delta) occupancy.Batch { return occupancy.Batch{Deltas: deltas} }
	for _, c := range []struct {
		name   string
		in     []occupancy.Batch
		people int
		kind   occupancy.Kind
	}{
		{"focus and transcriber in one batch", []occupancy.Batch{synced(1, 3, fullRoom(room, focus, transcriber, forger))}, 1, occupancy.KindTranscriber},
		{"the transcriber before focus", []occupancy.Batch{synced(1, 3, fullRoom(room, transcriber, forger, focus))}, 1, occupancy.KindTranscriber},
		{"focus is on the next page", []occupancy.Batch{page(fullRoom(room, transcriber, forger)), synced(1, 3, roomUpdate(room, nil, focus))}, 1, occupancy.KindTranscriber},
		{"focus comes later", []occupancy.Batch{synced(1, 2, fullRoom(room, transcriber, forger)), synced(1, 3, roomUpdate(room, nil, focus))}, 1, occupancy.KindTranscriber},
		{"focus has left", []occupancy.Batch{synced(1, 3, fullRoom(room, focus, transcriber, forger)), synced(1, 2, roomUpdate(room, []string{"focus"}))}, 1, occupancy.KindTranscriber},
		{"focus has left before it came", []occupancy.Batch{synced(1, 1, fullRoom(room, focus)), synced(1, 2, roomUpdate(room, []string{"focus"}, transcriber, forger))}, 1, occupancy.KindTranscriber},
		{"the room is sent whole, without focus", []occupancy.Batch{synced(1, 3, fullRoom(room, focus, transcriber, forger)), synced(1, 2, fullRoom(room, transcriber, forger))}, 1, occupancy.KindTranscriber},
		{"focus never joined", []occupancy.Batch{synced(1, 2, fullRoom(room, transcriber, forger))}, 2, occupancy.KindSIP},
		{"a guest without ownership has the name of focus", []occupancy.Batch{synced(1, 3, fullRoom(room, thief, transcriber, forger))}, 2, occupancy.KindSIP},
		{"focus logs in where guests do", []occupancy.Batch{synced(1, 3, fullRoom(room, guest, transcriber, forger))}, 2, occupancy.KindSIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirectory(muc)
			mainOf(d).Begin(muc, occupancy.SystemAccounts{})
			apply(t, d, at(10), c.in...)
			r, _ := d.Room(daily)
			for _, record := range r.Occupants {
				o := record.Occupant()
				if o.ID == "t" && o.Kind != c.kind || o.ID == "f" && o.Kind != occupancy.KindSIP {
					t.Errorf("%s got %s", o.ID, o.Kind)
				}
			}
			totals, _ := d.Totals(muc)
			if r.Participants != c.people || totals.Counts.People() != c.people || totals.Counts.All() != len(r.Occupants) {
				t.Errorf("got %d people in the room and %+v, want %d", r.Participants, totals.Counts, c.people)
			}
		})
	}
}

// The transcriber looks like a caller until focus joins. The change of kind is an event with the right numbers.
func TestTranscriber_ReclassifiedWhenFocusJoins(t *testing.T) {
	const room = "daily@muc.meet.jitsi"
	d := newDirectory(muc)
	mainOf(d).Begin(muc, occupancy.SystemAccounts{})
	apply(t, d, at(10), synced(1, 2, fullRoom(room, transcriber, forger)))
	s := d.Subscribe(10)
	apply(t, d, at(11), synced(1, 3, roomUpdate(room, nil, focus)))
	if got, want := fmt.Sprint(drain(s)), "[updated daily t 1 joined daily focus 1]"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	// A resync after focus has left keeps the kind.
	mainOf(d).Begin(muc, occupancy.SystemAccounts{})
	apply(t, d, at(12), synced(1, 2, fullRoom(room, transcriber, forger)))
	if got, want := fmt.Sprint(drain(s)), "[left daily focus 1]"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}
