package prosody_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ppch/prosody/prosodytest"
)

func TestModule_Marks(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{})
	sources := func(audio, video string) string {
		return "<SourceInfo>" + prosodytest.Escape(`{"a1-a0":`+audio+`,"a1-v0":`+video+`}`) + "</SourceInfo>"
	}
	feature := func(name string) string {
		return "<features><feature var='http://jitsi.org/protocol/" + name + "'/></features>"
	}
	for what, c := range map[string]struct{ presence, want string }{
		"nothing":                              {"", ""},
		"hand raised":                          {"<jitsi_participant_raisedHand>1700000000000</jitsi_participant_raisedHand>", "hand"},
		"hand lowered":                         {"<jitsi_participant_raisedHand/>", ""},
		"silent and invisible":                 {sources(`{"muted":true}`, `{"muted":true}`), "audio-muted video-muted screen-off"},
		"audible":                              {sources(`{"muted":false}`, `{"muted":true}`), "audio-on video-muted screen-off"},
		"both":                                 {sources(`{"muted":false}`, `{"muted":false}`), "audio-on video-on screen-off"},
		"a screen is no camera":                {sources(`{"muted":false}`, `{"muted":false,"videoType":"desktop"}`), "audio-on video-muted screen-on"},
		"camera and screen":                    {sources(`{"muted":false},"a1-v1":{"muted":false,"videoType":"desktop"}`, `{"muted":false}`), "audio-on video-on screen-on"},
		"a screen that is shared no more":      {sources(`{"muted":true},"a1-v1":{"muted":true,"videoType":"desktop"}`, `{"muted":false}`), "audio-muted video-on screen-off"},
		"a screen of many frames":              {sources(`{"muted":true}`, `{"videoType":"desktop_high_fps","muted":false}`), "audio-muted video-muted screen-on"},
		"a screen of an older client":          {"<videoType>desktop</videoType><videomuted>false</videomuted>", "video-muted screen-on"},
		"one that is shared no more":           {"<videoType>desktop</videoType><videomuted>true</videomuted>", "video-muted screen-off"},
		"a camera of an older client":          {"<videoType>camera</videoType><videomuted>false</videomuted>", "video-on"},
		"older elements together with sources": {sources(`{"muted":true}`, `{"muted":false}`) + "<videoType>desktop</videoType>", "audio-muted video-on screen-off"},
		"no sources":                           {"<SourceInfo>{}</SourceInfo>", "audio-muted video-muted screen-off"},
		"sources that are no JSON":             {"<SourceInfo>{\"a-a0\":</SourceInfo>", ""},
		"sources of wrong types":               {"<SourceInfo>[1,null,\"x\",{\"muted\":false}]</SourceInfo>", ""},
		"sources of wrong values":              {sources(`7`, `{"muted":"false"}`), "audio-muted video-muted screen-off"},
		"deeply nested sources":                {"<SourceInfo>" + strings.Repeat("[", 15_000) + "</SourceInfo>", ""},
		"huge sources":                         {"<SourceInfo>" + strings.Repeat(" ", 5_000) + "{}</SourceInfo>", ""},
		"older clients":                        {"<audiomuted>true</audiomuted><videomuted>false</videomuted>", "audio-muted video-on"},
		"of two, the first":                    {"<audiomuted>true</audiomuted><audiomuted>false</audiomuted>", "audio-muted"},
		"the sources come first":               {"<audiomuted>true</audiomuted>" + sources(`{"muted":false}`, `{}`), "audio-on video-muted screen-off"},
		"telephone":                            {"<initiator xmlns='http://jitsi.org/protocol/jigasi'/>" + feature("jigasi"), "jigasi initiator"},
		"initiator of no namespace":            {"<initiator/>", ""},
		"transcriber":                          {feature("transcriber"), "transcriber"},
		"jibri":                                {feature("jibri"), "jibri"},
		"room system":                          {feature("jibri") + "<email>inbound-sip-jibri@meet.jitsi</email>", "jibri sip-jibri"},
		"outward room system":                  {"<email>outbound-sip-jibri@meet.jitsi</email>", "sip-jibri"},
		"room systems under the other names of Jitsi": {feature("jibri") + "<email>sipjibriouta@x</email>", "jibri sip-jibri"},
		"a second of these":                           {"<email>sipjibrioutb@x</email>", "sip-jibri"},
		"a third of these":                            {"<email>sipjibriina@x</email>", "sip-jibri"},
		"a name that Jitsi doesn't know":              {"<email>sipjibriinb@x</email>", ""},
		"such a name without a domain":                {"<email>sipjibriina</email>", ""},
		"an e-mail that only contains one":            {"<email>x-inbound-sip-jibri@meet.jitsi</email>", ""},
	} {
		o := must(cast.User(within(t), room, "X", c.presence))(t)
		if got := f.occupant(room, o.Nick(), nil).marks(); got != c.want {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
}

func TestModule_DisplayNamesUnchanged(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{})
	for _, text := range []string{
		"Ada", "", "  ", `<b>&amp;"'`, "]]>", "Tab\there", "line\nand\nline", `back\slash \t \n`, "🤖👩‍🚀", "Ünïcødé", "\u202eevil", "\u0085\u2028",
		strings.Repeat("x", 1024),
	} {
		o := must(cast.User(within(t), room, text, "<avatar-url>"+prosodytest.Escape("https://e.example/?" + text)[:min(len(prosodytest.Escape("https://e.example/?"+text)), 200)]+"</avatar-url>"))(t)
		if got := f.occupant(room, o.Nick(), nil); got.name() != text {
			t.Errorf("got %q, want %q", got.name(), text)
		}
	}
}

// lib-jitsi-meet's ChatRoom.ts (onPresence) goes through all children of a presence and keeps the text of the last nick, in any namespace.
func TestNames_LastNickCounts(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{})
	for presence, want := range map[string]string{
		prosodytest.DisplayName("Eve"):          "Eve",
		"<nick xmlns='urn:x'>Eve</nick>":        "Eve",
		"<nick>Eve</nick>":                      "Eve",
		prosodytest.DisplayName(""):             "",
		"<nick xmlns='urn:x'><b/></nick>":       "",
		"<x><nick>Eve</nick></x>":               "Ada",
		"<identity><nick>Eve</nick></identity>": "Ada",
	} {
		o := must(cast.User(within(t), room, "Ada", presence))(t)
		if got := f.occupant(room, o.Nick(), nil).name(); got != want {
			t.Errorf("after Ada %s: got %q, want %q", presence, got, want)
		}
	}
}

func TestModule_CutsTextBetweenCharacters(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{})
	for _, text := range []string{strings.Repeat("x", 1025), strings.Repeat("é", 600), "x" + strings.Repeat("é", 600), strings.Repeat("🤖", 2000)} {
		o := must(cast.User(within(t), room, text))(t)
		got := f.occupant(room, o.Nick(), nil).name()
		if len(got) > 1024 || len(got) < 1020 || !utf8.ValidString(got) || !strings.HasPrefix(text, got) {
			t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	}
}

func TestModule_HostileNicks(t *testing.T) {
	t.Parallel()
	srv, _, f, room := meeting(t, prosodytest.Options{})
	people := newComponent(t, srv, srv.Domains.Cast)
	for i, nick := range []string{
		`<room jid="x"/>`, "a'b\"c&d", "/", "a/b/c", "@", `\t\\`, "привет", "-", "+", "focus2", strings.Repeat("n", 1023),
		"x" + strings.Repeat("é", 511),
	} {
		jid := fmt.Sprintf("u%d@cast.meet.jitsi/%s", i, nick)
		o := must(people.JoinAs(within(t), jid, room, nick))(t)
		f.occupant(room, o.Nick(), nil)
	}
	// Prosody refuses emoji in nicks. If that changes, they must arrive as well.
	if o, err := people.JoinAs(within(t), "robot@cast.meet.jitsi/x", room, "🤖"); err == nil {
		f.occupant(room, o.Nick(), nil)
	}
	f.matches(srv)
}

func TestModule_HostilePresence(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{LogLevel: "warn"})
	identity := "<identity><user><id>1</id><name>Root</name><email>root@example.com</email></user><group>admins</group></identity>"
	for what, presence := range map[string]string{
		"a hundred unknown children": strings.Repeat("<x xmlns='urn:x'><y>z</y></x>", 100),
		"thousands of children":      strings.Repeat("<y/>", 5000),
		"more than is looked at":     strings.Repeat("<y/>", 600) + "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>",
		"thousands of features":      "<features>" + strings.Repeat("<feature var='x'/>", 3000) + "</features>",
		"features without a name":    "<features><feature/><x/>text</features><features/>",
		"forged identity":            identity,
		"children in what is text":   "<email><x/></email><avatar-url>a<b/>c</avatar-url><SourceInfo><x/></SourceInfo><audiomuted><x/></audiomuted><jitsi_participant_raisedHand><x/></jitsi_participant_raisedHand>",
		"names in other namespaces":  "<avatar-url xmlns='urn:x'>a</avatar-url><features xmlns='urn:x'><feature var='http://jitsi.org/protocol/jibri'/></features>",
		"a huge text":                "<avatar-url>" + strings.Repeat("&lt;", 30_000) + "</avatar-url>",
		"visitors of a guest":        "<conference-properties xmlns='http://jitsi.org/protocol/focus'><property/><property key='visitor-count' value='-1e999'/></conference-properties>",
	} {
		o := must(cast.User(within(t), room, "Eve", presence))(t)
		got := f.occupant(room, o.Nick(), nil)
		if got.name() != "Eve" || got[7]+got[8]+got[9]+got[10] != "" || got.marks() != "" || len(got.avatar()) > 1024 {
			t.Errorf("%s: got %q", what, got)
		}
	}
	focus := must(cast.Focus.Join(within(t), room, "focus"))(t)
	for _, value := range []string{"-1", "1e999", "nan", "x", ""} {
		check(t, focus.Update(within(t), "<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='visitor-count' value='"+value+"'/></conference-properties>"))
	}
	f.until("no number of visitors", func(r *replica) bool { return r.fact(room, "visitors") == "" })
	f.matches(srv)
}

// The identity is only what Jitsi's token verification writes into a session. It
// may have any content, because the token's issuer chooses it.
func TestModule_IdentityFromSession(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: map[string]string{"muc.meet.jitsi": "room_participants_email = true"}})
	for what, c := range map[string]struct {
		user, group string
		want        [4]string
	}{
		"as issued":      {`{ id = "42", name = "Ada L.", email = "ada@example.com" }`, `"staff"`, [4]string{"42", "Ada L.", "staff", "ada@example.com"}},
		"numbers":        {`{ id = 42, name = 1.5, email = 2^70 }`, `7`, [4]string{"42", "1.5", "7", "1.1805916207174e+21"}},
		"tables":         {`{ id = {}, name = { "x" }, email = true }`, `{ a = 1 }`, [4]string{}},
		"no table":       {`"Ada"`, `false`, [4]string{}},
		"control":        {`{ id = "a\0b\27\127c", name = "l\nt\t\\", email = "\255\254" }`, `"\239\191\191x"`, [4]string{"abc", "l\nt\t\\", "x", ""}},
		"infinite":       {`{ id = 1/0, name = 0/0 }`, `nil`, [4]string{"inf", "-nan", "", ""}},
		"endless string": {`{ id = ("é"):rep(2000) }`, `nil`, [4]string{strings.Repeat("é", 512), "", "", ""}},
	} {
		o := must(cast.User(within(t), room, "Eve"))(t)
		lua(t, srv, `local s = prosody.full_sessions["`+o.JID()+`"]; s.jitsi_meet_context_user = `+c.user+`; s.jitsi_meet_context_group = `+c.group+`; return "";`)
		check(t, o.Update(within(t), prosodytest.DisplayName("now")))
		got := f.occupant(room, o.Nick(), func(o occupant) bool { return o.name() == "now" })
		if [4]string(got[7:11]) != c.want {
			t.Errorf("%s: got %q, want %q", what, got[7:11], c.want)
		}
	}
}

func TestModule_EmailIsOptIn(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	o := must(cast.User(within(t), room, "Ada"))(t)
	lua(t, srv, `prosody.full_sessions["`+o.JID()+`"].jitsi_meet_context_user = { id = "42", email = "ada@example.com" }; return "";`)
	check(t, o.Update(within(t), prosodytest.DisplayName("now")))
	if got := f.occupant(room, o.Nick(), func(o occupant) bool { return o.name() == "now" }); got[7] != "42" || got[10] != "" {
		t.Errorf("got %q", got)
	}
}

func TestModule_IgnoresIrrelevantPresence(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f.occupant(room, ada.Nick(), nil)
	for i := range 20 {
		check(t, ada.Update(within(t), prosodytest.DisplayName("Ada"), fmt.Sprintf("<stats-id>%d</stats-id><show>away</show>", i)))
		check(t, ada.Send("<message type='groupchat' to='"+room+"'><body>hello</body></message>"))
	}
	f.quiet(300 * time.Millisecond)
}
