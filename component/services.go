package component

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

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
		seen = c.lookAround(l.ctx, l.session)
		l.survey.mu.Lock()
		defer l.survey.mu.Unlock()
		l.survey.seen, l.survey.at = seen, time.Now()
		return seen, nil
	})
	if cause := context.Cause(l.ctx); cause != nil {
		return nil, lost(c.cfg, cause)
	}
	return slices.Clone(seen.([]occupancy.Service)), nil
}

// lookAround asks each host that there may be what it is.
func (c *Component) lookAround(ctx context.Context, s *session) []occupancy.Service {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	var (
		mu    sync.Mutex // guards found
		found []occupancy.Service
		g     errgroup.Group
	)
	g.SetLimit(surveyWidth)
	for _, host := range c.neighbours(ctx, s) {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, surveyAsk)
			defer cancel()
			answer, err := s.discoInfo(ctx, host)
			if err != nil || !isMUC(answer) {
				return nil // what isn't there, or doesn't answer, is none
			}
			service := occupancy.Service{JID: host}
			service.Protocols = protocols(answer)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, service)
			return nil
		})
	}
	_ = g.Wait() // none of them returns an error
	slices.SortFunc(found, func(a, b occupancy.Service) int { return byText(a.JID, b.JID) })
	return found
}

// neighbours returns the hosts which may be MUC services: those that the hosts above ours list (mod_disco lists the components
// of a host), and the usual ones where a host lists nothing.
func (c *Component) neighbours(ctx context.Context, s *session) (hosts []jid.JID) {
	add := func(list []jid.JID, j jid.JID) []jid.JID {
		if slices.ContainsFunc(list, j.Equal) || len(list) == surveyHosts {
			return list
		}
		return append(list, j)
	}
	var parents []jid.JID
	for _, j := range append([]jid.JID{c.cfg.Domain}, c.cfg.MUCDomains...) {
		if !j.Equal(c.cfg.Domain) {
			hosts = add(hosts, j)
		}
		if _, above, ok := strings.Cut(j.Domainpart(), "."); ok {
			if parent, err := jid.Parse(above); err == nil {
				parents = add(parents, parent)
			}
		}
	}
	for _, parent := range parents {
		askCtx, cancel := context.WithTimeout(ctx, surveyAsk/2)
		children, err := s.discoItems(askCtx, parent)
		cancel()
		if err != nil {
			for _, label := range usualMUCs {
				if j, err := jid.Parse(label + "." + parent.Domainpart()); err == nil {
					children = append(children, j)
				}
			}
		}
		for _, j := range children {
			if j.Localpart() == "" && !j.Equal(c.cfg.Domain) {
				hosts = add(hosts, j)
			}
		}
	}
	return hosts
}
