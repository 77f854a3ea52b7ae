package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// clusterSecret seals the messages of the demo's services. It protects only the demo, on loopback.
const clusterSecret = "demo-demo-demo-demo-demo" // #nosec G101 -- not a secret

// The shards of the demo: two Prosodys on which meetings take place, and one for visitors.
var shards = []struct{ name, base, kind string }{
	{"a", "meet.jitsi", "main"},
	{"b", "meet.jitsi", "main"},
	{"v1", "v1.meet.jitsi", "visitors"},
}

// cluster is what runs in the demo of several Prosodys.
type cluster struct {
	demo
	dir      string
	nats     string // address of its server
	servers  []*prosodytest.Server
	services []*service // in the order of their start
}

// runCluster runs the demo of several Prosodys until ctx ends or the time is up; both return nil.
//
// Two services collect: one the shards a and v1, the other b. They publish to NATS. Two more services have no Prosody,
// receive all shards from NATS, and answer requests behind a proxy.
func (d demo) runCluster(ctx context.Context) (err error) {
	if d.lasts > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d.lasts)
		defer stop()
	}
	c := &cluster{demo: d}
	if c.dir, err = os.MkdirTemp("", "ppch-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	defer func() { err = errors.Join(err, c.stop()) }()
	url, err := c.start(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	people, err := c.gather(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	defer people.close()

	t := &transcript{
		out: d.out, url: url,
		paths: []string{participants("Planning"), "/api/rooms/Planning", "/api/rooms?shard=b", "/health"},
		notes: "Planning is open on two shards, as it is while clients move from one to the other: its count is the sum, and its parts are listed.\n" +
			"Its visitors are on a Prosody of their own, v1.\n\n" + c.parts() + "\n\nKill one and look at the dashboard: answers name what they can't know.",
	}
	if err := t.show(ctx); err != nil {
		return ended(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.perform(ctx, people) })
	g.Go(func() error { return t.follow(ctx, people.moves) })
	for _, s := range c.services {
		g.Go(func() error { return c.report(ctx, s) })
	}
	err = ended(ctx, g.Wait())
	fmt.Fprintln(d.out, "\nThe demo is over; stopping everything.")
	return err
}

// start starts all programs and returns the URL of the proxy.
func (c *cluster) start(ctx context.Context) (url string, err error) {
	for _, s := range shards {
		o := prosodytest.Options{Base: s.base, Module: true, HideRooms: true, DomainMapper: true}
		if s.kind == "visitors" {
			o.Components = []string{"mirror.meet.jitsi"}
		}
		srv, err := prosodytest.Start(ctx, o)
		if err != nil {
			return "", err
		}
		c.servers = append(c.servers, srv)
		fmt.Fprintf(c.out, "Prosody %s of shard %s is up.\n", srv.Version(), s.name)
	}
	if err := c.startNATS(ctx); err != nil {
		return "", err
	}
	for _, collector := range []struct {
		name   string
		shards []int
	}{{"collector-a", []int{0, 2}}, {"collector-b", []int{1}}} {
		var lines []string
		for _, i := range collector.shards {
			line, err := c.lineOf(i)
			if err != nil {
				return "", err
			}
			lines = append(lines, line)
		}
		if _, err := c.startNode(ctx, collector.name, lines); err != nil {
			return "", err
		}
	}
	var lines, nodes []string
	for i, s := range shards {
		lines = append(lines, fmt.Sprintf("name=%s kind=%s via=nats muc=%s", s.name, s.kind, mucDomains(c.servers[i])))
	}
	for _, name := range []string{"node-1", "node-2"} {
		s, err := c.startNode(ctx, name, lines)
		if err != nil {
			return "", err
		}
		nodes = append(nodes, strings.TrimPrefix(s.url, "http://"))
	}
	return c.startProxy(ctx, nodes)
}

// lineOf returns the line of a shard in the file of the service that collects it.
func (c *cluster) lineOf(i int) (string, error) {
	srv := c.servers[i]
	secret := filepath.Join(c.dir, shards[i].name+".secret")
	if err := os.WriteFile(secret, []byte(srv.Secret()), 0o600); err != nil {
		return "", err
	}
	return fmt.Sprintf("name=%s kind=%s url=xmpp://%s component=%s secret_file=%s muc=%s",
		shards[i].name, shards[i].kind, srv.ComponentAddr(), srv.Domains.Component, secret, mucDomains(srv)), nil
}

// startNATS starts the server of NATS.
func (c *cluster) startNATS(ctx context.Context) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	s, err := start("nats-server", c.dir, exec.Command(c.demo.nats, "--addr", host, "--port", port)) // #nosec G204 -- a flag's value
	if err != nil {
		return fmt.Errorf("start NATS, which make demo-cluster installs: %w", err)
	}
	c.services = append(c.services, s)
	c.nats = addr
	return awaitListening(ctx, addr)
}

// startNode starts a service for the shards of these lines.
func (c *cluster) startNode(ctx context.Context, name string, lines []string) (*service, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(c.dir, name+".shards")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	s, err := c.startPPCH(ctx, name, c.dir, port, "PPCH_SHARDS_FILE="+file, "PPCH_NATS_URL=nats://"+c.nats, "PPCH_CLUSTER_SECRET="+clusterSecret)
	if err != nil {
		return nil, err
	}
	c.services = append(c.services, s)
	fmt.Fprintf(c.out, "%s is up at %s.\n", name, s.url)
	return s, nil
}

// proxyConfig is the configuration of nginx: like that of README, for two services.
const proxyConfig = `daemon off;
pid DIR/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  upstream ppch { NODES }
  server {
    listen ADDR;
    location / {
      proxy_pass http://ppch;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`

// startProxy starts nginx in front of the nodes and returns its URL.
func (c *cluster) startProxy(ctx context.Context, nodes []string) (url string, err error) {
	port, err := c.freePort()
	if err != nil {
		return "", err
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	var upstreams []string
	for _, n := range nodes {
		upstreams = append(upstreams, "server "+n+" max_fails=1 fail_timeout=2s;")
	}
	text := strings.NewReplacer("DIR", c.dir, "NODES", strings.Join(upstreams, " "), "ADDR", addr).Replace(proxyConfig)
	file := filepath.Join(c.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", err
	}
	s, err := start("nginx", c.dir, exec.Command(c.nginx, "-c", file, "-e", "stderr")) // #nosec G204 -- a flag's value
	if err != nil {
		return "", fmt.Errorf("start nginx, which make demo-cluster installs: %w", err)
	}
	c.services = append(c.services, s)
	return "http://" + addr, awaitListening(ctx, addr)
}

// freeAddr returns a free address on loopback.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// parts returns the programs with their processes, for people who want to end one.
func (c *cluster) parts() string {
	var b strings.Builder
	b.WriteString("Processes:")
	for i, srv := range c.servers {
		fmt.Fprintf(&b, " Prosody %s %d,", shards[i].name, srv.PID())
	}
	for _, s := range c.services {
		fmt.Fprintf(&b, " %s %d,", s.name, s.cmd.Process.Pid)
	}
	return strings.TrimSuffix(b.String(), ",") + "."
}

// gather opens the rooms: the usual ones on a, one of them also on b, with visitors on v1.
func (c *cluster) gather(ctx context.Context) (_ *people, err error) {
	p := &people{moves: make(chan move), here: map[string]visit{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.enter(ctx, "a", c.servers[0]); err != nil {
		return p, err
	}
	b, err := p.add(ctx, "b", c.servers[1])
	if err != nil {
		return p, err
	}
	if _, err := p.open(ctx, b, "Planning", b.srv.Room("planning"), "Claude"); err != nil {
		return p, err
	}
	if _, err := p.open(ctx, b, "Retro", b.srv.Room("retro"), "Ines", "Katherine"); err != nil {
		return p, err
	}
	v, err := p.add(ctx, "v1", c.servers[2])
	if err != nil {
		return p, err
	}
	stage, err := p.open(ctx, v, "Planning", v.srv.Room("planning"), "Olga", "Pavel")
	if err != nil {
		return p, err
	}
	// As mod_fmuc does, mirror the participants into the room of the visitors.
	mirror, err := v.srv.Component(ctx, "mirror.meet.jitsi")
	if err != nil {
		return p, err
	}
	p.here["mirror"] = visit{stage, mirror}
	for _, name := range []string{"Ada", "Grace", "Linus"} {
		if _, err := mirror.JoinAs(ctx, strings.ToLower(name)+"@mirror.meet.jitsi/mirror", stage.jid, prosodytest.Nick(), prosodytest.DisplayName(name)); err != nil {
			return p, err
		}
	}
	return p, nil
}

// perform lets people come and go until ctx ends. Those on a Prosody that was killed can't.
func (c *cluster) perform(ctx context.Context, p *people) error {
	for ctx.Err() == nil {
		if err := p.comeAndGo(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintf(c.out, "  %s  %v\n", time.Now().Format(time.TimeOnly), err)
		}
	}
	return nil
}

// report says when a service ends before ctx does.
func (c *cluster) report(ctx context.Context, s *service) error {
	select {
	case <-s.gone:
		fmt.Fprintf(c.out, "  %s  %s ended.\n", time.Now().Format(time.TimeOnly), s.name)
	case <-ctx.Done():
	}
	return nil
}

// stop stops everything that still runs, the last started first.
func (c *cluster) stop() (err error) {
	for i := len(c.services) - 1; i >= 0; i-- {
		select {
		case <-c.services[i].gone: // ended before
		default:
			err = errors.Join(err, c.services[i].stop())
		}
	}
	for _, srv := range c.servers {
		err = errors.Join(err, srv.Close())
	}
	return err
}
