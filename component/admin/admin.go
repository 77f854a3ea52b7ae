package admin

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"

	"ppch/component/adhoc"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// Prosody answers questions about Prosody and its rooms.
type Prosody interface {
	// Room returns a room as it is now. It may block for one question.
	Room(context.Context, jid.JID) (occupancy.Room, error)

	// Diagnostics returns the state of the connection to Prosody and of the MUC domains.
	Diagnostics() occupancy.Diagnostics

	// Resync loads the rooms of a domain again. Its error is for people.
	Resync(domain jid.JID) error
}

// Config configures a Handler. All fields but Accounts and Meetings are required.
type Config struct {
	// Domain is the component's JID, Version that of the program.
	Domain  jid.JID
	Version string

	// Accounts are the admins: bare JIDs, and domains, which mean all their accounts.
	Accounts []jid.JID

	Prosody   Prosody
	Directory *occupancy.Directory
	Names     *occupancy.NameResolver
	Log       *slog.Logger

	// Meetings reads the recorded meetings; nil if none are recorded.
	Meetings *history.Archive
}

// Handler answers admins. HandleXMPP is for one goroutine at a time; everything else is safe for concurrent use.
type Handler struct {
	Config

	accounts atomic.Pointer[accounts] // of the last stream
	refused  atomic.Uint64            // stanzas
	began    time.Time
	mux      *mux.ServeMux
	watchers *watchers
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg, began: time.Now(), watchers: newWatchers()}
	h.accounts.Store(newAccounts(cfg.Accounts, cfg.Log))
	h.mux = mux.New(xcomponent.NSAccept,
		ping.Handle(),
		version.Handle(version.Query{Name: "PPCH", Version: cfg.Version}),
		mux.Feature(only{version.Feature}), // the handler of mellium doesn't list it
		// Parts of a second are allowed, but clients take six digits of them at most, and Go writes nine.
		xtime.Handle(xtime.Handler{TimeFunc: func() time.Time { return time.Now().Truncate(time.Second) }}),
		handleUptime(h.began),
		adhoc.Handle(adhoc.NewResponder(adhoc.Config{JID: cfg.Domain}, h.commands()...)),
		h.handleDisco(),
	)
	return h
}

// Accounts returns the state of each admin entry. The caller owns it.
func (h *Handler) Accounts() []occupancy.AdminDiagnostics { return h.accounts.Load().diagnostics() }

// Refused returns how many stanzas of admins were refused because too many waited.
func (h *Handler) Refused() uint64 { return h.refused.Load() }

var _ xmpp.Handler = (*Handler)(nil)

// HandleXMPP answers one stanza of an admin. It may write nothing, which for an IQ of type get or set means that it doesn't know the payload.
func (h *Handler) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	switch start.Name.Local {
	case "iq":
		iq, err := stanza.NewIQ(*start)
		if err != nil {
			return err
		}
		if !iq.To.Equal(h.Domain) {
			return nil // the component has one address
		}
		return h.mux.HandleXMPP(t, start)
	case "message":
		return h.message(t, *start)
	case "presence":
		return h.presence(t, *start)
	}
	return nil
}

// text is a child of a stanza with its text.
type text struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

// children reads the rest of a stanza.
func children(t xml.TokenReader, start xml.StartElement) (all []text, err error) {
	var element struct {
		Children []text `xml:",any"`
	}
	err = xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(start), t)).Decode(&element)
	return element.Children, err
}

// find returns the text of the first child of that local name in the namespace of the stream.
func find(all []text, name string) (string, bool) {
	for _, c := range all {
		if c.XMLName.Local == name && (c.XMLName.Space == "" || c.XMLName.Space == xcomponent.NSAccept) {
			return c.Text, true
		}
	}
	return "", false
}

// errorText returns the text of an error for people.
func errorText(err error) string {
	var unknown *occupancy.UnavailableError
	var name *occupancy.NameError
	switch {
	case errors.As(err, &unknown):
		return "unavailable (" + string(unknown.Reason) + "): " + unknown.Remedy
	case errors.As(err, &name):
		return name.Reason
	case errors.Is(err, occupancy.ErrNotWatched):
		return "the domain of this room isn't watched"
	}
	return strings.TrimPrefix(err.Error(), "component: ")
}
