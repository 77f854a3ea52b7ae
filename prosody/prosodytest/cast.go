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

// Features that identify Jitsi's programs.
const (
	featureJigasi      = "http://jitsi.org/protocol/jigasi"
	featureTranscriber = "http://jitsi.org/protocol/transcriber"
	featureJibri       = "http://jitsi.org/protocol/jibri"
)

// Cast adds participants of all kinds to the meetings of a server, with the
// addresses and presence of Jitsi's clients and programs.
// Each of its methods adds an occupant to a room and blocks until the server
// confirms it. Safe for concurrent use. The caller must Close it.
type Cast struct {
	// Focus is the program that opens and owns every room.
	Focus *Client

	srv *Server

	// mu protects clients.
	mu      sync.Mutex
	clients []*Client
}

// Cast logs in the focus, which opens rooms.
func (s *Server) Cast(ctx context.Context) (*Cast, error) {
	focus, err := s.Login(ctx, "focus@"+s.Domains.Auth+"/focus")
	if err != nil {
		return nil, err
	}
	return &Cast{Focus: focus, srv: s, clients: []*Client{focus}}, nil
}

// Close disconnects all clients. It works even after the server has ended.
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

// Open opens a room by letting the focus join first.
// room is a bare JID; see Server.Room.
// Like Jicofo the focus announces conference properties, without visitors until the first has joined.
func (c *Cast) Open(ctx context.Context, room string) (*Occupant, error) {
	return c.Focus.Join(ctx, room, "focus", features("http://jitsi.org/protocol/focus"), ConferenceProperties())
}

// ConferenceProperties renders Jicofo's conference properties: the constant ones, then these keys and values.
func ConferenceProperties(keysAndValues ...string) string {
	var b strings.Builder
	b.WriteString("<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='support-terminate-restart' value='true'/>")
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		b.WriteString("<property" + attr("key", keysAndValues[i]) + attr("value", keysAndValues[i+1]) + "/>")
	}
	b.WriteString("</conference-properties>")
	return b.String()
}

// User is a person with a browser: logged in anonymously, with a nick of eight
// hex digits, which clients don't show, and a display name, which they do.
func (c *Cast) User(ctx context.Context, room, name string, extra ...string) (*Occupant, error) {
	return c.guest(ctx, room, append([]string{DisplayName(name)}, extra...)...)
}

// Caller is a person on the phone, whose gateway logs in anonymously.
func (c *Cast) Caller(ctx context.Context, room, name string) (*Occupant, error) {
	return c.guest(ctx, room, DisplayName(name), initiator, features(featureJigasi))
}

// TrustedCaller is a person on the phone if anonymous login is off: the gateway
// logs in as jigasi@auth, an owner of every room, and all callers share that
// address.
func (c *Cast) TrustedCaller(ctx context.Context, room, name string) (*Occupant, error) {
	return c.account(ctx, "jigasi@"+c.srv.Domains.Auth, room, DisplayName(name), initiator, features(featureJigasi))
}

// Recorder records or streams the meeting. Its nick looks like a browser's.
func (c *Cast) Recorder(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "recorder@"+c.srv.Domains.Hidden, room, features(featureJibri))
}

// Transcriber transcribes the meeting.
func (c *Cast) Transcriber(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "transcriber@"+c.srv.Domains.Hidden, room,
		DisplayName("Transcriber"), features(featureJigasi, featureTranscriber))
}

// TrustedTranscriber is a Jigasi that transcribes with its login for calls, as
// in installations with a single Jigasi account.
func (c *Cast) TrustedTranscriber(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "jigasi@"+c.srv.Domains.Auth, room,
		DisplayName("Transcriber"), features(featureJigasi, featureTranscriber))
}

// Hidden is any other user of the hidden domain, whose users clients don't show.
func (c *Cast) Hidden(ctx context.Context, room string) (*Occupant, error) {
	return c.account(ctx, "hidden@"+c.srv.Domains.Hidden, room)
}

// RoomSystem is a SIP video system connected by a Jibri. It has a recorder's
// real JID, because Jibri uses one login for everything (XmppApi.kt passes
// callLogin to recordings and to SIP gateways).
func (c *Cast) RoomSystem(ctx context.Context, room, name string) (*Occupant, error) {
	return c.account(ctx, "recorder@"+c.srv.Domains.Hidden, room,
		DisplayName(name), "<email>inbound-sip-jibri@"+Escape(c.srv.Domains.Main)+"</email>", features(featureJibri))
}

// Visitor is a person who may only watch: the focus sets the role to visitor.
// This cast must have opened the room.
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

// Nick returns a new nick like a browser's: eight hex digits.
func Nick() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// DisplayName is presence XML with a display name (XEP-0172).
func DisplayName(name string) string {
	return "<nick xmlns='http://jabber.org/protocol/nick'>" + Escape(name) + "</nick>"
}

const initiator = "<initiator xmlns='http://jitsi.org/protocol/jigasi'/>"

// features is presence XML with a client's features.
func features(all ...string) string {
	raw := "<features>"
	for _, f := range all {
		raw += "<feature var='" + Escape(f) + "'/>"
	}
	return raw + "</features>"
}
