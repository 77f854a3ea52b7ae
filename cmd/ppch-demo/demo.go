package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// demoKey is the same every time, so that README's commands work as they stand. It opens nothing but the demo, on loopback.
const demoKey = "demo-demo-demo-demo"

// demo is what the flags say.
type demo struct {
	out    io.Writer
	ppch   string        // the program under show
	port   int           // 0 for any
	lasts  time.Duration // 0 for until stopped
	strict bool          // the port must be had
	debian bool          // Prosody's configuration has what Debian's Jitsi packages write, and no more
}

func newCommand() *cobra.Command {
	d := demo{}
	cmd := &cobra.Command{
		Use:   "ppch-demo",
		Short: "Show PPCH at work on a real Prosody with real rooms",
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
			return d.run(cmd.Context())
		},
	}
	cmd.AddCommand(newCast())
	cmd.Flags().DurationVar(&d.lasts, "for", 0, "end by itself after this time, such as 20s; 0 lasts until Ctrl-C")
	cmd.Flags().IntVar(&d.port, "port", 8890, "where the service listens; unless given, any free port will do when this one is taken")
	cmd.Flags().BoolVar(&d.debian, "debian", false, "configure Prosody as Debian's Jitsi packages do, which don't name recorders")
	cmd.Flags().StringVar(&d.ppch, "ppch", besideMe("ppch"), "the service's program")
	return cmd
}

// besideMe returns the path of a program in the folder of this one.
func besideMe(name string) string {
	me, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(me), name)
}

// run lasts until ctx ends or the time is over, which both are a good end.
func (d demo) run(ctx context.Context) (err error) {
	if d.lasts > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, d.lasts)
		defer stop()
	}
	srv, err := prosodytest.Start(ctx, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true, JitsiDefaults: d.debian})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	fmt.Fprintf(d.out, "Prosody %s is up, with rooms as Jitsi Meet has them.\n", srv.Version())

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

	t := &transcript{out: d.out, url: s.url}
	if err := t.show(ctx); err != nil {
		return ended(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return people.comeAndGo(ctx) })
	g.Go(func() error { return t.follow(ctx, people.moved) })
	g.Go(func() error { return s.watch(ctx) })
	err = ended(ctx, g.Wait())
	fmt.Fprintln(d.out, "\nThe demo is over: service and Prosody are being stopped.")
	return err
}

// ended turns an error that the end of the demo caused into none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
