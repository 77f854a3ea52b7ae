package component

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// discoInfo asks what to is and offers (XEP-0030 §3).
func (l *live) discoInfo(ctx context.Context, to jid.JID) (disco.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var answer disco.Info
	err := l.Ask(ctx, stanza.GetIQ, to, disco.InfoQuery{}.TokenReader(), into(&answer))
	return answer, err
}

// into returns a reader of an answer that decodes it into v.
func into(v any) func(*xml.Decoder) error {
	return func(d *xml.Decoder) error { return d.Decode(v) }
}

// publicRooms lists the rooms that the MUC domain shows to everybody (XEP-0045 §6.3), in the order of their JIDs.
// Every current Jitsi shows none.
func (l *live) publicRooms(ctx context.Context, domain jid.JID) ([]jid.JID, error) {
	items, err := l.discoItems(ctx, domain)
	return slices.DeleteFunc(items, func(j jid.JID) bool { return j.Localpart() == "" || !j.Domain().Equal(domain) }), err
}

// discoItems lists what belongs to an entity (XEP-0030 §4) as bare JIDs, in their order.
func (l *live) discoItems(ctx context.Context, to jid.JID) ([]jid.JID, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// The item type of mellium holds a parsed JID, so one odd room name would hide all the others.
	var answer struct {
		XMLName xml.Name `xml:"http://jabber.org/protocol/disco#items query"`
		Items   []struct {
			JID string `xml:"jid,attr"`
		} `xml:"item"`
	}
	query := xml.StartElement{Name: xml.Name{Space: disco.NSItems, Local: "query"}}
	if err := l.Ask(ctx, stanza.GetIQ, to, xmlstream.Wrap(nil, query), into(&answer)); err != nil {
		return nil, err
	}
	var items []jid.JID
	for _, item := range answer.Items {
		if j, err := jid.Parse(item.JID); err == nil {
			items = append(items, j.Bare())
		}
	}
	slices.SortFunc(items, byText)
	return items, nil
}

// byText orders JIDs.
func byText(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) }

// isMUC reports whether an answer is that of a MUC service (XEP-0045 §6.1).
func isMUC(answer disco.Info) bool {
	return hasFeature(answer, muc.NS) && slices.ContainsFunc(answer.Identity, func(i info.Identity) bool {
		return i.Category == "conference"
	})
}

func hasFeature(answer disco.Info, feature string) bool {
	return slices.ContainsFunc(answer.Features, func(f info.Feature) bool { return f.Var == feature })
}

// maxProtocols is how many versions of the protocol are read from one answer.
const maxProtocols = 8

// protocols returns the namespaces of all versions of the protocol that an answer has among its features.
func protocols(answer disco.Info) (found []string) {
	for _, f := range answer.Features {
		if protocol.IsNamespace(f.Var) && len(found) < maxProtocols {
			found = append(found, f.Var)
		}
	}
	return found
}

// occupants returns the number of occupants that a room tells of itself (XEP-0045 §6.4, muc#roominfo_occupants).
// On Prosody it is the number of nicks, focus and recorders included (muc.lib.lua).
func occupants(answer disco.Info) (int, error) {
	for _, f := range answer.Form {
		values, ok := f.Raw("muc#roominfo_occupants")
		if !ok || len(values) == 0 {
			continue
		}
		n, err := strconv.Atoi(values[0])
		if err != nil || n < 0 {
			return 0, fmt.Errorf("component: number of occupants %q", values[0])
		}
		return n, nil
	}
	return 0, errNoNumber
}

// rejected returns the error for an answer that makes no sense of a question about domain.
func rejected(domain jid.JID, err error) *occupancy.UnknownError {
	return occupancy.ProblemRejected.About(domain).With(occupancy.Fact{Name: "answer", Value: err.Error()}).Err(err)
}
