package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// demoKey is fixed, so that README's commands work unchanged. It protects only the demo, on loopback.
const demoKey = "demo-demo-demo-demo"

// demoAdmin is the account that may inspect rooms with an XMPP client. Its password is demoKey.
const demoAdmin = "boss@auth.meet.jitsi"

// demo has the values of the flags.
type demo struct {
	out    io.Writer
	ppch   string        // path of the program
	port   int           // 0 for any
	lasts  time.Duration // 0: until stopped
	strict bool          // fail if the port is taken
	debian bool          // configure Prosody like Debian's Jitsi packages

	cluster     bool   // several Prosodys
	nats, nginx string // paths of the programs that it needs
}

func newCommand() *cobra.Command {
	d := demo{}
	cmd := &cobra.Command{
		Use:   "ppch-demo",
		Short: "Show PPCH at work on a real Prosody",
		Example: `  ppch-demo
  ppch-demo --for 20s
  ppch-demo --port 9000`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.lasts < 0 {
				return errors.New("--for can't be negative")
			}
			d.out, d.strict = cmd.OutOrStdout(), cmd.Flags().Changed("port")
			if d.cluster {
				return d.runCluster(cmd.Context())
			}
			return d.run(cmd.Context())
		},
	}
	cmd.AddCommand(newCast())
	cmd.Flags().DurationVar(&d.lasts, "for", 0, "end after this time, such as 20s; 0 runs until Ctrl-C")
	cmd.Flags().IntVar(&d.port, "port", 8890, "port of the service; if the default is taken, any free port")
	cmd.Flags().BoolVar(&d.debian, "debian", false, "configure Prosody like Debian's Jitsi packages, which set no recorder prefixes")
	cmd.Flags().BoolVar(&d.cluster, "cluster", false, "show several Prosodys: two shards, a visitor node, and two instances of PPCH behind a proxy, over NATS")
	cmd.Flags().StringVar(&d.nats, "nats-server", inSbin("nats-server"), "program of NATS, for --cluster")
	cmd.Flags().StringVar(&d.nginx, "nginx", inSbin("nginx"), "program of nginx, for --cluster")
	cmd.Flags().StringVar(&d.ppch, "ppch", nextToMe("ppch"), "path of the service's program")
	return cmd
}

// nextToMe returns the path of a program in the folder of this one.
func nextToMe(name string) string {
	me, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(me), name)
}

// inSbin returns the path of a program that Debian installs where only root looks.
func inSbin(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}

// run runs the demo until ctx ends or the time is up; both return nil.
func (d demo) run(ctx context.Context) (err error) {
	if d.lasts > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d.lasts)
		defer stop()
	}
	srv, err := prosodytest.Start(ctx, prosodytest.Options{
		Module: true, HideRooms: true, DomainMapper: true, JitsiDefaults: d.debian, Accounts: map[string]string{demoAdmin: demoKey},
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	fmt.Fprintf(d.out, "Prosody %s is up, with rooms as in Jitsi Meet.\n", srv.Version())

	s, err := d.startService(ctx, srv)
	if err != nil {
		return ended(ctx, err)
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	people, err := gather(ctx, srv)
	if err != nil {
		return ended(ctx, err)
	}
	defer people.close()

	t := &transcript{
		out: d.out, url: s.url,
		paths: []string{participants("Planning"), participants("acme/Stand up"), participants("Empty room"), "/health"},
		notes: "Each room contains Jicofo (focus), and Planning a recorder and a caller. participant_count counts people and callers.",
	}
	if err := t.show(ctx); err != nil {
		return ended(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return people.comeAndGo(ctx) })
	g.Go(func() error { return t.follow(ctx, people.moves) })
	g.Go(func() error { return s.watch(ctx) })
	err = ended(ctx, g.Wait())
	fmt.Fprintln(d.out, "\nThe demo is over; stopping the service and Prosody.")
	return err
}

// ended drops an error that the end of the demo caused.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
