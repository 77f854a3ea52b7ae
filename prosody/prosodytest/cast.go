package prosodytest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
)

// The features by which Jitsi's programs tell each other what they are.
const (
	featureJigasi      = "http://jitsi.org/protocol/jigasi"
	featureTranscriber = "http://jitsi.org/protocol/transcriber"
	featureJibri       = "http://jitsi.org/protocol/jibri"
)

// Cast is everybody who takes part in the meetings of one server, with the
// addresses and presence that Jitsi's programs have.
// Each of its methods puts one more person into a room and blocks until the
// server confirms that. Safe for concurrent use. The caller must Close it.
type Cast struct {
	// Focus is the program that opens every room, and an owner of each.
	Focus *Client

	srv *Server

	// mu guards clients, and is held for appending alone.
	mu      sync.Mutex
	clients []*Client
}

// Cast logs in the focus, so that rooms can be opened.
func (s *Server) Cast(ctx context.Context) (*Cast, error) {
	focus, err := s.Login(ctx, "focus@"+s.Domains.Auth+"/focus")
	if err != nil {
		return nil, err
	}
	return &Cast{Focus: focus, srv: s, clients: []*Client{focus}}, nil
}

// Close logs everybody out. It may be called when the server is already gone.
func (c *Cast) Close() error {
	c.mu.Lock()
	clients := slices.Clone(c.clients)
	c.clients = nil
	c.mu.Unlock()
	var err error
	for _, client := range clients {
		err = errors.Join(err, client.Close())
	}
	return err
}

// Open lets the focus open a room, as it does before anybody else may come in.
// room is a bare JID; see Server.Room.
// Like Jicofo it says at once what its conference supports, and nothing of visitors before the first has come.
func (c *Cast) Open(ctx context.Context, room string) (*Occupant, error) {
	return c.Focus.Join(ctx, room, "focus", features("http://jitsi.org/protocol/focus"), ConferenceProperties())
}

// ConferenceProperties is what Jicofo tells of its conference: keys and values, besides those that it always has.
func ConferenceProperties(keysAndValues ...string) string {
	var b strings.Builder
	b.WriteString("<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='support-terminate-restart' value='true'/>")
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		b.WriteString("<property" + attr("key", keysAndValues[i]) + attr("value", keysAndValues[i+1]) + "/>")
	}
	b.WriteString("</conference-properties>")
	return b.String()
}

// User is a person with a browser: anonymous, under a nick of eight hex digits
// that nobody sees, with a display name that all see.
func (c *Cast) User(ctx context.Context, room, name string, extra ...string) (*Occupant, error) {
	return c.guest(ctx, room, append([]string{DisplayName(name)}, extra...)...)
}

// Caller is a person on the telephone, whose gateway logs in anonymously.
func (c *Cast) Caller(ctx context.Context, room, name string) (*Occupant, error) {
	return c.guest(ctx, room, DisplayName(name), initiator, features(featureJigasi))
}

// TrustedCaller is a person on the telephone where guests are not let in: the
// gateway logs in as jigasi@auth, which is an owner of every room, and shares
// that address between all callers.
func (c *Cast) TrustedCaller(ctx context.Context, room, name string) (*Occupant, error) {
	return c.account(ctx, "jigasi@"+c.srv.Domains.Auth, room, DisplayName(name), initiator, features(featureJigasi))
}

// Recorder records or streams the meeting. By its nick it is like any browser.
func (c *Cast) Recorder(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "recorder@"+c.srv.Domains.Hidden, room, features(featureJibri))
}

// Transcriber writes down what is said.
func (c *Cast) Transcriber(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "transcriber@"+c.srv.Domains.Hidden, room,
		DisplayName("Transcriber"), features(featureJigasi, featureTranscriber))
}

// TrustedTranscriber is a Jigasi that transcribes under the login it has for
// calls, as where only one Jigasi account was made.
func (c *Cast) TrustedTranscriber(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "jigasi@"+c.srv.Domains.Auth, room,
		DisplayName("Transcriber"), features(featureJigasi, featureTranscriber))
}

// Hidden is somebody else of the hidden domain, whom clients do not show.
func (c *Cast) Hidden(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "hidden@"+c.srv.Domains.Hidden, room)
}

// RoomSystem is people in front of a SIP video system, brought in by a Jibri.
// Jibri has one login for all that it does (XmppApi.kt hands callLogin to
// recordings and to SIP gateways alike), so this bears a recorder's real JID.
func (c *Cast) RoomSystem(ctx context.Context, room, name string) (*Occupant, error) {
	return c.account(ctx, "recorder@"+c.srv.Domains.Hidden, room,
		DisplayName(name), "<email>inbound-sip-jibri@"+Escape(c.srv.Domains.Main)+"</email>", features(featureJibri))
}

// Visitor is a person who may only watch: the focus takes their voice.
// The room must have been opened by this cast.
func (c *Cast) Visitor(ctx context.Context, room, name string) (*Occupant, error) {
	o, err := c.User(ctx, room, name)
	if err != nil {
		return nil, err
	}
	seen := o.await(func(st Stanza) bool { return o.self("")(st) && st.Item().Role == "visitor" }, false)
	if err := c.Focus.SetRole(ctx, room, o.Nick(), "visitor", ""); err != nil {
		return nil, err
	}
	_, err = o.wait(ctx, seen)
	return o, err
}

func (c *Cast) guest(ctx context.Context, room string, extra ...string) (*Occupant, error) {
	client, err := c.srv.Guest(ctx)
	if err != nil {
		return nil, err
	}
	return c.enter(ctx, client, room, extra)
}

func (c *Cast) account(ctx context.Context, jid, room string, extra ...string) (*Occupant, error) {
	client, err := c.srv.Login(ctx, jid)
	if err != nil {
		return nil, err
	}
	return c.enter(ctx, client, room, extra)
}

func (c *Cast) enter(ctx context.Context, client *Client, room string, extra []string) (*Occupant, error) {
	o, err := client.Join(ctx, room, Nick(), extra...)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, client)
	return o, nil
}

// Nick returns a new nick as browsers choose them: eight hex digits.
func Nick() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// DisplayName is presence XML: the name that others see (XEP-0172).
func DisplayName(name string) string {
	return "<nick xmlns='http://jabber.org/protocol/nick'>" + Escape(name) + "</nick>"
}

const initiator = "<initiator xmlns='http://jitsi.org/protocol/jigasi'/>"

// features is presence XML: what the client says it can do.
func features(all ...string) string {
	raw := "<features>"
	for _, f := range all {
		raw += "<feature var='" + Escape(f) + "'/>"
	}
	return raw + "</features>"
}
