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

// discoInfo asks an entity for its identity and features (XEP-0030 §3).
func (l *connection) discoInfo(ctx context.Context, to jid.JID) (disco.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var answer disco.Info
	err := l.Ask(ctx, stanza.GetIQ, to, disco.InfoQuery{}.TokenReader(), into(&answer))
	return answer, err
}

// into returns a function that decodes an answer into v.
func into(v any) func(*xml.Decoder) error {
	return func(d *xml.Decoder) error { return d.Decode(v) }
}

// publicRooms lists the public rooms of a MUC domain (XEP-0045 §6.3), sorted by JID. No current Jitsi has any.
func (l *connection) publicRooms(ctx context.Context, domain jid.JID) ([]jid.JID, error) {
	items, err := l.discoItems(ctx, domain)
	return slices.DeleteFunc(items, func(j jid.JID) bool { return j.Localpart() == "" || !j.Domain().Equal(domain) }), err
}

// discoItems lists the items of an entity (XEP-0030 §4) as bare JIDs, sorted.
func (l *connection) discoItems(ctx context.Context, to jid.JID) ([]jid.JID, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// The item type of mellium has a parsed JID, so that one invalid room name would hide all the others.
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
	slices.SortStableFunc(items, byText)
	return items, nil
}

// byText orders JIDs.
func byText(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) }

// isMUC reports whether an answer is from a MUC service (XEP-0045 §6.1).
func isMUC(answer disco.Info) bool {
	return hasFeature(answer, muc.NS) && slices.ContainsFunc(answer.Identity, func(i info.Identity) bool {
		return i.Category == "conference"
	})
}

func hasFeature(answer disco.Info, feature string) bool {
	return slices.ContainsFunc(answer.Features, func(f info.Feature) bool { return f.Var == feature })
}

// maxProtocols is how many protocol versions of one answer are kept.
const maxProtocols = 8

// protocols returns the protocol versions among the features of an answer, as namespaces.
func protocols(answer disco.Info) (found []string) {
	for _, f := range answer.Features {
		if protocol.IsNamespace(f.Var) && len(found) < maxProtocols {
			found = append(found, f.Var)
		}
	}
	return found
}

// occupants returns the number of occupants from the answer of a room (XEP-0045 §6.4, muc#roominfo_occupants).
// Prosody counts nicks, focus and recorders included (muc.lib.lua).
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

// rejected returns the error for an unusable answer to a question about domain.
func rejected(domain jid.JID, err error) *occupancy.UnavailableError {
	return occupancy.ProblemRejected.About(domain).With(occupancy.Fact{Name: "answer", Value: err.Error()}).Err(err)
}

// Bounds of a search for MUC services: Prosody has one thread, which the meetings need.
const (
	serviceCacheFor = 10 * time.Second // how long a result serves all callers
	maxHosts        = 64               // to ask
	maxParallel     = 8                // questions at a time
	hostTimeout     = time.Second      // for each host: an external component may never answer
	searchTimeout   = 2 * time.Second  // for the whole search
)

// usualMUCs are the first labels of MUC services in docker-jitsi-meet, Debian's packages and Prosody's manual.
var usualMUCs = []string{"muc", "conference", "rooms", "internal-muc", "breakout", "lobby"}

// serviceCache keeps the services of one search, and runs one search at a time. It belongs to a connection.
type serviceCache struct {
	flights singleflight.Group

	// mu protects what follows; no code that holds it uses the network.
	mu   sync.Mutex
	seen []occupancy.Service
	at   time.Time
}

// Services lists the MUC services that Prosody shows next to the component and the watched domains, sorted by JID.
// It is for diagnostics, since Prosody may not show all of them. A result serves all callers for ten seconds.
// A search blocks for at most two seconds. An error is an *occupancy.UnavailableError.
func (c *Component) Services() ([]occupancy.Service, error) {
	l, err := c.session()
	if err != nil {
		c.retryNow()
		return nil, err
	}
	seen, _, _ := l.services.flights.Do("", func() (any, error) {
		l.services.mu.Lock()
		seen, at := l.services.seen, l.services.at
		l.services.mu.Unlock()
		if time.Since(at) < serviceCacheFor {
			return seen, nil
		}
		seen = c.discoverServices(l.Context(), l)
		l.services.mu.Lock()
		defer l.services.mu.Unlock()
		l.services.seen, l.services.at = seen, time.Now()
		return seen, nil
	})
	if cause := context.Cause(l.Context()); cause != nil {
		return nil, lost(c.cfg, cause)
	}
	return slices.Clone(seen.([]occupancy.Service)), nil
}

// discoverServices asks hosts of this Prosody what they are: the watched domains, which the operator named, then their parents,
// and the hosts that those list. It queries no remote host, because Prosody would connect to another server for that.
// It guesses names only if Prosody connects to no server.
func (c *Component) discoverServices(ctx context.Context, conn *connection) []occupancy.Service {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	l := &serviceSearch{connection: conn, shard: c.cfg.Shard.Name()}
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
	slices.SortStableFunc(hosts, byText)
	hosts = slices.CompactFunc(hosts, jid.JID.Equal)
	l.info(ctx, hosts[:min(len(hosts), maxHosts)])
	slices.SortStableFunc(l.found, func(a, b occupancy.Service) int { return byText(a.JID, b.JID) })
	return l.found
}

// parents returns the parent hosts of the component and of the watched domains. A parent is certain to be Prosody's own
// if it is that of both, as in each of Jitsi's layouts, or of a domain that was found to be a MUC service.
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

// serviceSearch is one search.
type serviceSearch struct {
	*connection
	shard string

	// mu guards what follows.
	mu    sync.Mutex
	found []occupancy.Service
	// alone means that Prosody connects to no other server (core/stanza_router.lua, core_route_stanza).
	alone bool
}

// info asks hosts what they are, and keeps MUC services.
func (l *serviceSearch) info(ctx context.Context, hosts []jid.JID) {
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for _, host := range hosts {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, hostTimeout)
			defer cancel()
			answer, err := l.discoInfo(ctx, host)
			l.mu.Lock()
			defer l.mu.Unlock()
			switch {
			case err != nil:
				l.alone = l.alone || noRemote(err)
			case isMUC(answer):
				l.found = append(l.found, occupancy.Service{JID: host, Shard: l.shard, Protocols: protocols(answer)})
			}
			return nil // a host without an answer is no MUC service
		})
	}
	_ = g.Wait() // they return no errors
}

// below returns the subdomains that a host lists, as mod_disco does for its components. Other domains may be on other servers.
func (l *serviceSearch) below(ctx context.Context, host jid.JID) (hosts []jid.JID) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout/2)
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
