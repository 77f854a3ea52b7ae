package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"mellium.im/xmpp/jid"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

func TestNode_NATSRestarts(t *testing.T) {
	s := runNATS(t)
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	s.Stop()
	c.apply(domain, began("b@muc.meet.jitsi", person("eve", 3)))
	n.reason(occupancy.ReasonNATSUnreachable)
	if got, err := n.directory.Room(roomOf("b")); err == nil && got.Exists {
		t.Errorf("got %+v without NATS", got)
	}
	s.Start()
	n.participants("b", 1)
	n.reason("")
	equal(t, c, n, time.Second)
}

func TestNode_ProsodyAwayAtOnce(t *testing.T) {
	s := runNATS(t)
	cfg := options(t, s.ClientURL(), "ppch.meet.jitsi")
	cfg.Heartbeat = time.Minute
	n := newNode(t, options(t, s.ClientURL(), "node"))
	c := newCollector(t, cfg)
	c.up()
	n.reason("")
	c.away()
	n.reason(occupancy.ReasonLost)
	c.up()
	n.reason("")
}

func TestNode_CollectorDiscardsRooms(t *testing.T) {
	s := runNATS(t)
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	c.away()
	c.shard.Forget(domain)
	eventually(t, 10*time.Second, func() string {
		if got, err := n.directory.Room(roomOf("a")); err == nil {
			return "the room is known with " + string(got.Source)
		}
		return ""
	})
	c.up(began("a@muc.meet.jitsi", person("ann", 1), person("bob", 2)))
	n.participants("a", 2)
}

// A batch that is larger than a message of NATS may be reaches the nodes as a snapshot.
func TestNode_LargeBatch(t *testing.T) {
	s := runNATS(t, func(o *server.Options) { o.MaxPayload = 16 << 10 })
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up()
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.reason("")
	var people []occupancy.Occupant
	for i := range 500 {
		people = append(people, person(strings.Repeat("x", i%100)+"-"+string(rune('a'+i%26))+time.Duration(i).String(), int64(i+1)))
	}
	large := began("a@muc.meet.jitsi", people...)
	large.Facts.Subject = strings.Repeat("long ", 1500)
	c.apply(domain, large)
	n.participants("a", 500)
	equal(t, c, n, time.Second)
}

func TestNode_ForeignPublishers(t *testing.T) {
	s := runNATS(t)
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	foreign, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	// Everything that was ever sent, and what makes no sense.
	var recorded []*nats.Msg
	all, err := foreign.SubscribeSync("ppch.>")
	if err != nil {
		t.Fatal(err)
	}
	_ = foreign.Flush()
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Left: []string{"bob"}})
	for range 10 {
		m, err := all.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		recorded = append(recorded, m)
	}
	_ = all.Unsubscribe()
	for range 3 {
		for _, m := range recorded {
			_ = foreign.Publish(m.Subject, m.Data)
			_ = foreign.Publish(m.Subject, cluster.Wrap("another secret", m.Data[strings.IndexByte(string(m.Data), '\n')+1:]))
			_ = foreign.Publish(m.Subject, []byte("garbage"))
			_ = foreign.Publish(m.Subject, nil)
			_ = foreign.Publish(m.Subject, cluster.Wrap(secret, []byte("{}\n")))
			_ = foreign.Publish(m.Subject, cluster.OtherVersion(secret, "2", []byte("{}\n")))
		}
		_ = foreign.Flush()
	}
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("eve", 3)}})
	n.participants("a", 2)
	n.reason("")
	if d := n.node.Diagnostics(); d.Resyncs != 0 || d.Foreign == 0 || d.Garbage == 0 || d.Repeated == 0 {
		t.Errorf("got %+v want no resync, and foreign, senseless and repeated messages counted", d)
	}
}

func TestNode_OtherSecretOrVersion(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		want    occupancy.Reason
	}{
		"another secret":   {cluster.Wrap("another", []byte(samples[1])), occupancy.ReasonClusterSecret},
		"a newer version":  {cluster.OtherVersion(secret, "2", []byte(samples[1])), occupancy.ReasonClusterVersion},
		"an older version": {cluster.OtherVersion(secret, "0", []byte(samples[1])), occupancy.ReasonClusterVersion},
	} {
		t.Run(name, func(t *testing.T) {
			s := runNATS(t)
			collector := newCollector(t, options(t, s.ClientURL(), "c"))
			collector.up()
			follower := newNode(t, options(t, s.ClientURL(), "follower"))
			follower.participants("a", 0)
			collector.stop() // it comes back with what the message has
			fresh := newNode(t, options(t, s.ClientURL(), "fresh"))
			other, err := nats.Connect(s.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			for _, n := range []*member{fresh, follower} {
				eventually(t, 20*time.Second, func() string {
					_ = other.Publish("ppch.main.c.state", c.message)
					d, err := n.shard.Domain(domain)
					if err != nil || d.Problem == nil || d.Problem.Reason != c.want {
						return fmt.Sprintf("got %v", d.Problem)
					}
					if strings.Contains(name, "newer") != strings.Contains(d.Problem.Remedy, "update this PPCH") && c.want == occupancy.ReasonClusterVersion {
						return "wrong side: " + d.Problem.Remedy
					}
					return ""
				})
			}
		})
	}
}

func TestConn_Permissions(t *testing.T) {
	users := func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "collector", Password: "c", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"ppch.main.ppch_meet_jitsi.>", "_INBOX.>"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"ppch.main.ppch_meet_jitsi.snapshot.*", "ppch.main.ppch_meet_jitsi.state"}},
			}},
			{Username: "node", Password: "n", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"ppch.*.*.snapshot.*"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"ppch.*.*.state", "ppch.*.*.batch", "_INBOX.>"}},
			}},
			{Username: "mute", Password: "m", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"ppch.*.*.history"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"ppch.*.*.state", "ppch.*.*.batch", "_INBOX.>"}},
			}},
			{Username: "deaf", Password: "d", Permissions: &server.Permissions{
				Subscribe: &server.SubjectPermission{Allow: []string{"ppch.*.*.state", "_INBOX.>"}},
			}},
		}
	}
	s := runNATS(t, users)
	as := func(user, password, name string) cluster.Config {
		cfg := options(t, s.ClientURL(), name)
		cfg.User, cfg.Password = user, password
		return cfg
	}
	c := newCollector(t, as("collector", "c", "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, as("node", "n", "node"))
	n.participants("a", 1)
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
	n.participants("a", 2)

	newNode(t, as("deaf", "d", "deaf")).reason(occupancy.ReasonNATSForbidden)
	mute := newNode(t, as("mute", "m", "mute"))
	mute.reason(occupancy.ReasonNATSForbidden)
	if d, err := mute.shard.Domain(domain); err != nil || !strings.Contains(d.Problem.Remedy, "publish to ppch.main.ppch_meet_jitsi.snapshot.*") {
		t.Errorf("got %v, %v want a permission that lasts", d.Problem, err)
	}
	newNode(t, as("node", "wrong", "stranger")).reason(occupancy.ReasonNATSLogin)
	// The node's user may not publish for a collector.
	impostor := newCollector(t, as("node", "n", "impostor"))
	eventually(t, 10*time.Second, func() string {
		if p := impostor.collector.Problem(); p == nil || p.Reason != occupancy.ReasonNATSForbidden || !strings.Contains(p.Remedy, "ppch.main.impostor") {
			return "got another problem"
		}
		return ""
	})
}

func TestCollector_SameNameTwice(t *testing.T) {
	s := runNATS(t)
	one := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	one.up(began("a@muc.meet.jitsi", person("ann", 1)))
	two := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	two.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	for _, c := range []*member{one, two} {
		eventually(t, 10*time.Second, func() string {
			if p := c.collector.Problem(); p == nil || p.Reason != occupancy.ReasonCollectorConflict {
				return "no conflict"
			}
			return ""
		})
	}
	eventually(t, 10*time.Second, func() string {
		if p := n.node.Diagnostics().Problem; p == nil || !strings.Contains(p.Remedy, "two collectors of the shard main are named ppch.meet.jitsi") {
			return "no twins"
		}
		return ""
	})
	for _, c := range []*member{one, two} {
		c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
	}
	n.participants("a", 2)
}

func TestNode_OtherShard(t *testing.T) {
	s := runNATS(t)
	cfg := options(t, s.ClientURL(), "ppch.meet.jitsi")
	m := newMember(t, cfg)
	m.directory = occupancy.NewDirectory()
	var err error
	if m.shard, err = m.directory.AddShard(occupancy.ShardConfig{Name: "main", Kind: occupancy.ShardVisitors, Domains: []jid.JID{domain}}); err != nil {
		t.Fatal(err)
	}
	if m.collector, err = cluster.NewCollector(cluster.CollectorConfig{Conn: m.conn, Shard: m.shard, Name: cfg.Name, Log: cfg.Log}); err != nil {
		t.Fatal(err)
	}
	m.run(m.collector.Run)
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.reason(occupancy.ReasonCollectorMismatch)
}
