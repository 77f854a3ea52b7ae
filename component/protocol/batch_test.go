package protocol_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// at is the time of the samples, sec seconds after the first.
func at(sec int64) time.Time { return time.UnixMilli(1790000000000 + sec*1000).UTC() }

// samples are the files in prosody/samples and what they mean. The Lua specs read them as well.
var samples = []struct {
	file string
	want any
}{
	{"subscribe.xml", xml.StartElement{Name: protocol.SubscribeName}},
	{"unsubscribe.xml", xml.StartElement{Name: xml.Name{Space: protocol.Namespace, Local: "unsubscribe"}}},
	{"subscribed.xml", protocol.Subscribed{
		Epoch: "e1", Version: "2.0.0", Heartbeat: 5 * time.Second, At: 1000500 * time.Millisecond, Time: time.UnixMilli(1795339800125).UTC(),
		Accounts: occupancy.SystemAccounts{
			Recorders: []string{"recorder@hidden.meet.jitsi"}, Transcribers: []string{"transcriber@hidden.meet.jitsi"}, Hidden: []string{"hidden.meet.jitsi"},
			Jicofo: "focus@auth.meet.jitsi", Type: occupancy.RoomMain,
		},
		RoomCache: 10000,
	}},
	{"batch-snapshot.xml", protocol.Batch{Epoch: "e1", Seq: 1, At: 1000600 * time.Millisecond, Batch: occupancy.Batch{Deltas: []occupancy.Delta{{
		Room: "planning@muc.meet.jitsi", New: true,
		Facts: &occupancy.RoomFacts{
			CreatedAt: at(0), MeetingID: "m-1", Subject: "Q & A", MembersOnly: true, Visitors: new(12), Lobby: "planning@lobby.meet.jitsi",
			Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "Group 1"}},
		},
		Present: []occupancy.Occupant{
			{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus", Role: "moderator", Affiliation: "owner", JoinedAt: at(0)},
			{
				ID: "1a2b3c4d", RealJID: "u1@meet.jitsi/web", Role: "participant", Affiliation: "none", JoinedAt: at(1),
				UserID: "42", UserName: "Ada L.", UserGroup: "staff", Name: "Ada <3", AvatarURL: "https://example.com/a.png",
				Flags: occupancy.FlagHandRaised | occupancy.FlagAudioMuted | occupancy.FlagVideoOn | occupancy.FlagScreenOff,
			},
			{
				ID: "5e6f7a8b", RealJID: "recorder@hidden.meet.jitsi/j", Role: "participant", Affiliation: "none", JoinedAt: at(2),
				Flags: occupancy.FlagJibri,
			},
		},
	}}}}},
	{"batch-changes.xml", protocol.Batch{Epoch: "e1", Seq: 2, At: 1007250 * time.Millisecond, Batch: occupancy.Batch{Synced: true, Rooms: 2, Occupants: 4, Deltas: []occupancy.Delta{
		{
			Room: "planning@muc.meet.jitsi",
			Left: []string{"5e6f7a8b"}, Reasons: map[string]occupancy.LeaveReason{"5e6f7a8b": occupancy.LeaveKicked},
			Present: []occupancy.Occupant{{
				ID: "1a2b3c4d", RealJID: "u1@meet.jitsi/web", Role: "participant", Affiliation: "none", JoinedAt: at(1),
				UserID: "42", UserName: "Ada L.", UserGroup: "staff", Name: "Tab\t, line\nand \\ backslash",
			}},
		},
		{
			Room: "[acme]daily@muc.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{},
			Present: []occupancy.Occupant{
				{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus", Role: "moderator", Affiliation: "owner", JoinedAt: at(3)},
				{
					ID: "9c0d1e2f", RealJID: "u2@meet.jitsi/web", Role: "participant", Affiliation: "none",
					MovedFrom: "planning@muc.meet.jitsi", Connection: occupancy.ConnectionHibernating,
				},
			},
		},
		{Room: "old@muc.meet.jitsi", Gone: true, Reasons: map[string]occupancy.LeaveReason{"7a8b9c0d": occupancy.LeaveDisconnected}},
		{Room: "former@muc.meet.jitsi", Gone: true, Reason: occupancy.LeaveRoomDestroyed, Alternate: "planning@muc.meet.jitsi"},
	}}}},
	{"batch-heartbeat.xml", protocol.Batch{Epoch: "e1", Seq: 3, At: 1012250 * time.Millisecond, Batch: occupancy.Batch{Synced: true, Rooms: 2, Occupants: 4}}},
	{"batch-unseen.xml", protocol.Batch{Epoch: "e1", Seq: 4, At: 1017250 * time.Millisecond, Batch: occupancy.Batch{Synced: true, Rooms: 2, Occupants: 4, Unseen: true}}},
	{"batch-end.xml", protocol.Batch{Epoch: "e1", Seq: 5, At: 1019250 * time.Millisecond, End: true, Batch: occupancy.Batch{Synced: true, Rooms: 2, Occupants: 4}}},
}

func TestProtocol_Samples(t *testing.T) {
	files, err := filepath.Glob("../../prosody/samples/*.xml")
	if err != nil || len(files) != len(samples) {
		t.Errorf("got %d samples in files, %v; want the %d of the table", len(files), err, len(samples))
	}
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("../../prosody/samples", s.file))
			if err != nil {
				t.Fatal(err)
			}
			var got any
			var written string
			switch want := s.want.(type) {
			case protocol.Batch:
				got, err = decodeBatch(string(file))
				written = encodeBatch(want)
			case protocol.Subscribed:
				var answer protocol.Subscribed
				err = xml.Unmarshal(file, &answer)
				got, written = answer, encodeSubscribed(want)
			case xml.StartElement:
				got, written = want, element(want.Name.Local, "", "xmlns", want.Name.Space)
			}
			if diff := cmp.Diff(s.want, got); diff != "" || err != nil {
				t.Errorf("read: %v, -want +got:\n%s", err, diff)
			}
			if diff := cmp.Diff(canonical(t, string(file)), canonical(t, written)); diff != "" {
				t.Errorf("written: -want +got:\n%s", diff)
			}
		})
	}
}

// canonical returns XML without differences that don't matter: the order of attributes, and empty fields at the end of lines.
func canonical(t *testing.T, s string) (tokens []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return tokens
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			slices.SortFunc(tok.Attr, func(a, b xml.Attr) int { return strings.Compare(a.Name.Local, b.Name.Local) })
			tokens = append(tokens, fmt.Sprint(tok))
		case xml.CharData:
			for line := range strings.Lines(strings.TrimPrefix(string(tok), "\n")) {
				tokens = append(tokens, strings.TrimRight(line, "\t\n"))
			}
		case xml.EndElement:
			tokens = append(tokens, "/"+tok.Name.Local)
		}
	}
}

func decodeBatch(s string) (protocol.Batch, error) {
	return decode(xml.NewDecoder(strings.NewReader(s)))
}

// decode reads a batch from its start element on.
func decode(t xml.TokenReader) (protocol.Batch, error) {
	for {
		tok, err := t.Token()
		if start, ok := tok.(xml.StartElement); ok {
			return protocol.DecodeBatch(t, start)
		}
		if err != nil {
			return protocol.Batch{}, err
		}
	}
}

// inBatch puts XML into a batch, inRoom puts text into a room of a batch.
func inBatch(inner string) string {
	return "<batch xmlns='" + protocol.Namespace + "' epoch='e' seq='1' at='1'>" + inner + "</batch>"
}

func inRoom(text string) string { return inBatch("<room jid='r@muc.x'>" + text + "</room>") }

// ann is the occupant of the line "+ann".
var ann = []occupancy.Delta{{Room: "r@muc.x", Present: []occupancy.Occupant{{ID: "ann"}}}}

func TestDecodeBatch_SkipsUnknown(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []occupancy.Delta
	}{
		{name: "an attribute", in: inBatch("<room jid='r@muc.x' zone='eu'>+\tann\n</room>"), want: ann},
		{name: "an attribute of another namespace", in: inBatch("<room xmlns:o='o' o:jid='x@y' jid='r@muc.x' o:new='1'>+\tann\n</room>"), want: ann},
		{name: "a flag that isn't 1", in: inBatch("<room jid='r@muc.x' new='0' facts='no'>+\tann\n</room>"), want: ann},
		{name: "fields behind the last", in: inRoom("+\tann\t\t\t\t\t\t\t\t\t\t\t\tx\ty\tz\\q\n"), want: ann},
		{name: "fields behind the nick of one who left", in: inRoom("-\tann\twhy\n"), want: []occupancy.Delta{{Room: "r@muc.x", Present: []occupancy.Occupant{}, Left: []string{"ann"}}}},
		{name: "a mark", in: inRoom("+\tann\t\t\t\t\t\t\t\t\t\t\twaving\n"), want: ann},
		{name: "an element in a batch", in: inBatch("<hint><room jid='no'>x</room></hint><room jid='r@muc.x'>+\tann\n</room>"), want: ann},
		{name: "a room of another namespace", in: inBatch("<room xmlns='y' jid='n@muc.x'>x</room><room jid='r@muc.x'>+\tann\n</room>"), want: ann},
		{name: "an element between lines, or within one", in: inRoom("+\ta<x>-\tb\n<y/></x>nn<!-- c -->\n"), want: ann},
		{name: "text in a batch", in: inBatch("\n <room jid='r@muc.x'><![CDATA[+\tann\n]]></room> \n"), want: ann},
		{name: "a lobby and a breakout room that can't be rooms", in: inBatch("<room jid='r@muc.x' facts='1' lobby='lobby.x'><breakout name='b'/>+\tann\n</room>"), want: []occupancy.Delta{{Room: "r@muc.x", Facts: &occupancy.RoomFacts{}, Present: ann[0].Present}}},
		{name: "breakout rooms without facts", in: inBatch("<room jid='r@muc.x'><breakout jid='b@breakout.x'/>+\tann\n</room>"), want: ann},
		{name: "a room without changes", in: inBatch("<room jid='r@muc.x'/>"), want: []occupancy.Delta{{Room: "r@muc.x"}}},
		{name: "a room that PRECIS refuses", in: inBatch("<gone jid='\u0640@muc.x'/>"), want: []occupancy.Delta{{Room: "\u0640@muc.x", Gone: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeBatch(c.in)
			if diff := cmp.Diff(c.want, got.Deltas); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestDecodeBatch_Refuses(t *testing.T) {
	start := "<batch xmlns='" + protocol.Namespace + "' "
	for _, c := range []struct{ name, in, want string }{
		{"another element", "<beat xmlns='" + protocol.Namespace + "' epoch='e' seq='1'/>", "<beat"},
		{"another namespace", "<batch xmlns='urn:ppch:occupancy:2' epoch='e' seq='1'/>", "occupancy:2"},
		{"no epoch", start + "seq='1'/>", "epoch"},
		{"no seq", start + "epoch='e'/>", "seq"},
		{"seq 0", start + "epoch='e' seq='0'/>", "seq"},
		{"a negative seq", start + "epoch='e' seq='-1'/>", "seq"},
		{"a seq that doesn't fit", start + "epoch='e' seq='18446744073709551616'/>", "seq"},
		{"no time", start + "epoch='e' seq='1'/>", `at ""`},
		{"a time that isn't a number", start + "epoch='e' seq='1' at='NaN'/>", `at "NaN"`},
		{"a time before the clock began", start + "epoch='e' seq='1' at='-1'/>", `at "-1"`},
		{"a time too far in the future", start + "epoch='e' seq='1' at='1e10'/>", `at "1e10"`},
		{"synced without totals", start + "epoch='e' seq='1' at='1' synced='1' rooms='1'/>", "occupants"},
		{"a negative total", start + "epoch='e' seq='1' at='1' synced='1' rooms='-1' occupants='1'/>", "rooms"},
		{"a total that is too large", start + "epoch='e' seq='1' at='1' synced='1' rooms='4294967295' occupants='1'/>", "rooms"},
		{"a room without address", inBatch("<room/>"), "jid"},
		{"a room without node", inBatch("<room jid='muc.x'/>"), "jid"},
		{"a room with a resource", inBatch("<room jid='r@muc.x/a'/>"), "jid"},
		{"a gone room without address", inBatch("<gone/>"), "jid"},
		{"visitors that aren't a number", inBatch("<room jid='r@muc.x' facts='1' visitors='many'/>"), "visitors"},
		{"a room created before 1970", inBatch("<room jid='r@muc.x' facts='1' created='-1'/>"), "time"},
		{"an unknown sign", inRoom("*\tann\n"), `"*"`},
		{"a line without nick", inRoom("+\t\tjid\n"), "no nick"},
		{"a line with nothing but a sign", inRoom("+\n"), "no nick"},
		{"an empty line", inRoom("+\tann\n\n"), "line 2"},
		{"a line without end", inRoom("+\tann\n+\tbob"), "no line end"},
		{"a backslash at the end of a field", inRoom("+\tann\\\tjid\n"), "field 2"},
		{"an unknown escape", inRoom("+\ta\\xnn\n"), "escape"},
		{"a joining time that isn't a number", inRoom("+\tann\t\t\t\tnoon\n"), "time"},
		{"a joining time after the year 9999", inRoom("+\tann\t\t\t\t253402300800000\n"), "time"},
		{"an occupant present and left", inRoom("+\tann\n-\tann\n"), `"ann" is present and has left`},
		{"half a batch", strings.TrimSuffix(inRoom("+\tann\n"), "</batch>"), "EOF"},
		{"half a room", strings.TrimSuffix(inRoom("+\tann\n"), "</room></batch>"), "EOF"},
		{"half of something unknown", strings.TrimSuffix(inBatch("<x><y/></x>"), "</x></batch>"), "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeBatch(c.in)
			if err == nil || !strings.HasPrefix(err.Error(), "protocol: batch") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v and error %v, want an error with %q", got, err, c.want)
			}
			if !cmp.Equal(got, protocol.Batch{}) {
				t.Errorf("got %+v and an error", got)
			}
		})
	}
}

func TestSubscribed_Refuses(t *testing.T) {
	for _, c := range []struct{ name, attrs, want string }{
		{"no epoch", "heartbeat='5'", "epoch"},
		{"no time", "epoch='e' heartbeat='5'", `at ""`},
		{"no heartbeat", "epoch='e'", "heartbeat"},
		{"a heartbeat of 0", "epoch='e' heartbeat='0'", "heartbeat"},
		{"a heartbeat that is too long", "epoch='e' heartbeat='1e9'", "heartbeat"},
		{"a heartbeat that isn't a number", "epoch='e' heartbeat='NaN'", "heartbeat"},
		{"an invalid time of day", "epoch='e' heartbeat='5' at='1' time='noon'", `time "noon"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got protocol.Subscribed
			err := xml.Unmarshal([]byte("<subscribed xmlns='"+protocol.Namespace+"' "+c.attrs+"/>"), &got)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v and error %v, want an error with %q", got, err, c.want)
			}
		})
	}
	var got protocol.Subscribed
	if err := xml.Unmarshal([]byte("<subscribed xmlns='"+protocol.Namespace+"' epoch='e' heartbeat='2.5' at='1'><new/></subscribed>"), &got); err != nil || got.Heartbeat != 2500*time.Millisecond {
		t.Errorf("got %+v and error %v, want a heartbeat of 2.5 s without any prefix", got, err)
	}
}
