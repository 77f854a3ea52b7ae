package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
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

// The bounds of a survey: Prosody has one thread, which the meetings need.
const (
	surveyFor   = 10 * time.Second // serves everybody who asks
	surveyHosts = 64               // are asked, at most
	surveyWidth = 8                // of them at a time
	surveyAsk   = time.Second      // for each to answer: an external component among them may never do so
	surveyTime  = 2 * time.Second  // for all together
)

// usualMUCs are the first labels of the MUC services of docker-jitsi-meet, of Debian's packages and of Prosody's manual.
var usualMUCs = []string{"muc", "conference", "rooms", "internal-muc", "breakout", "lobby"}

// survey keeps one look around under way and what it saw for a moment. It lives and dies with a session.
type survey struct {
	flights singleflight.Group

	// mu protects what follows; it is never held while the network is used.
	mu   sync.Mutex
	seen []occupancy.Service
	at   time.Time
}

// Services tells which MUC services Prosody shows beside the component and beside the watched domains, in the order of their JIDs.
// That is for mending: it may be that not all are shown. Prosody is asked if nobody did so within the last ten seconds,
// which blocks for two seconds at most. An error is an *occupancy.UnknownError.
func (c *Component) Services() ([]occupancy.Service, error) {
	l, err := c.session()
	if err != nil {
		c.hurryUp()
		return nil, err
	}
	seen, _, _ := l.survey.flights.Do("", func() (any, error) {
		l.survey.mu.Lock()
		seen, at := l.survey.seen, l.survey.at
		l.survey.mu.Unlock()
		if time.Since(at) < surveyFor {
			return seen, nil
		}
		seen = c.lookAround(l.Context(), l)
		l.survey.mu.Lock()
		defer l.survey.mu.Unlock()
		l.survey.seen, l.survey.at = seen, time.Now()
		return seen, nil
	})
	if cause := context.Cause(l.Context()); cause != nil {
		return nil, lost(c.cfg, cause)
	}
	return slices.Clone(seen.([]occupancy.Service)), nil
}

// lookAround asks each host that there may be what it is, but none that may be elsewhere: Prosody would connect to other servers
// to deliver a question. The watched domains are asked, since the operator names them; then their hosts, and what those list.
// Only where Prosody says that it connects to no server guesses do no harm.
func (c *Component) lookAround(ctx context.Context, around *live) []occupancy.Service {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	l := &look{live: around}
	l.info(ctx, c.cfg.MUCDomains)
	var hosts []jid.JID
	asked := make(map[string]bool)
	for _, certain := range []bool{true, false} {
		if !certain && !l.alone {
			break
		}
		for _, parent := range c.parents(l.found, certain) {
			if asked[parent.String()] {
				continue
			}
			asked[parent.String()] = true
			hosts = append(hosts, l.below(ctx, parent)...)
		}
	}
	hosts = slices.DeleteFunc(hosts, func(j jid.JID) bool {
		return j.Equal(c.cfg.Domain) || slices.ContainsFunc(c.cfg.MUCDomains, j.Equal)
	})
	slices.SortFunc(hosts, byText)
	hosts = slices.CompactFunc(hosts, jid.JID.Equal)
	l.info(ctx, hosts[:min(len(hosts), surveyHosts)])
	slices.SortFunc(l.found, func(a, b occupancy.Service) int { return byText(a.JID, b.JID) })
	return l.found
}

// parents returns the hosts that the component and the watched domains are below. Those that are certain to be Prosody's own
// have both below them, as in each of Jitsi's layouts, or a domain that was found to be a MUC service.
func (c *Component) parents(found []occupancy.Service, certain bool) (parents []jid.JID) {
	ours, _ := above(c.cfg.Domain)
	for _, muc := range c.cfg.MUCDomains {
		parent, ok := above(muc)
		answered := slices.ContainsFunc(found, func(s occupancy.Service) bool { return s.JID.Equal(muc) })
		if ok && (!certain || answered || parent.Equal(ours)) {
			parents = append(parents, parent)
		}
	}
	if !certain && !ours.Equal(jid.JID{}) {
		parents = append(parents, ours)
	}
	return parents
}

// above returns a domain without its first label.
func above(domain jid.JID) (jid.JID, bool) {
	_, name, ok := strings.Cut(domain.Domainpart(), ".")
	if !ok {
		return jid.JID{}, false
	}
	parent, err := jid.Parse(name)
	return parent, err == nil
}

// look is one look around.
type look struct {
	*live

	// mu guards what follows.
	mu    sync.Mutex
	found []occupancy.Service
	// alone means that Prosody connects to no other server (core/stanza_router.lua, core_route_stanza).
	alone bool
}

// info asks hosts what they are, and keeps those that are MUC services.
func (l *look) info(ctx context.Context, hosts []jid.JID) {
	var g errgroup.Group
	g.SetLimit(surveyWidth)
	for _, host := range hosts {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, surveyAsk)
			defer cancel()
			answer, err := l.discoInfo(ctx, host)
			l.mu.Lock()
			defer l.mu.Unlock()
			switch {
			case err != nil:
				l.alone = l.alone || noRemote(err)
			case isMUC(answer):
				l.found = append(l.found, occupancy.Service{JID: host, Protocols: protocols(answer)})
			}
			return nil // what isn't there, or doesn't answer, is none
		})
	}
	_ = g.Wait() // none of them returns an error
}

// below returns the hosts that a host lists, which mod_disco does for its components. What isn't below it may be on another server.
func (l *look) below(ctx context.Context, host jid.JID) (hosts []jid.JID) {
	ctx, cancel := context.WithTimeout(ctx, surveyAsk/2)
	defer cancel()
	items, err := l.discoItems(ctx, host)
	if err != nil && noRemote(err) {
		l.alone = true
		for _, label := range usualMUCs {
			if j, err := jid.Parse(label + "." + host.Domainpart()); err == nil {
				items = append(items, j)
			}
		}
	}
	for _, j := range items {
		if j.Localpart() == "" && (l.alone || strings.HasSuffix(j.Domainpart(), "."+host.Domainpart())) {
			hosts = append(hosts, j)
		}
	}
	return hosts
}

// noRemote reports whether an error says that Prosody delivers to no other server.
func noRemote(err error) bool {
	var e stanza.Error
	if !errors.As(err, &e) || e.Condition != stanza.NotAllowed {
		return false
	}
	for _, text := range e.Text {
		if strings.Contains(text, "remote domains is not enabled") {
			return true
		}
	}
	return false
}
