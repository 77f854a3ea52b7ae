package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// newCast returns "ppch-demo cast", which brings people to a Prosody that somebody else runs.
func newCast() *cobra.Command {
	var prosody, base, password string
	cmd := &cobra.Command{
		Use:   "cast --prosody HOST:PORT",
		Short: "Let people come and go on a Prosody that runs elsewhere",
		Long: `Let people come and go on a Prosody that runs elsewhere, laid out as Jitsi's.
It is for the containers of the demo, never for a Jitsi that people use.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			srv, err := prosodytest.Attach(prosody, "", prosodytest.Options{Base: base, Accounts: map[string]string{
				"focus@auth." + base: password, "recorder@hidden." + base: password,
			}})
			if err != nil {
				return err
			}
			return perform(cmd.Context(), srv, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&prosody, "prosody", "", "where clients connect, such as prosody:5222")
	cmd.Flags().StringVar(&password, "password", "demo", "that of the accounts focus and recorder there")
	cmd.Flags().StringVar(&base, "domain", "meet.jitsi", "Jitsi's domain")
	if err := cmd.MarkFlagRequired("prosody"); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

// perform lasts until ctx ends.
func perform(ctx context.Context, srv *prosodytest.Server, out io.Writer) error {
	if err := awaitListening(ctx, srv.ClientAddr()); err != nil {
		return ended(ctx, err)
	}
	people, err := gather(ctx, srv)
	if err != nil {
		return ended(ctx, err)
	}
	defer people.close()
	fmt.Fprintln(out, "people are in Planning, Кафе and acme/Stand up")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return people.comeAndGo(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case m := <-people.moved:
				verb := "leaves"
				if m.came {
					verb = "joins"
				}
				fmt.Fprintln(out, m.who, verb, m.room.name)
			}
		}
	})
	return ended(ctx, g.Wait())
}

// awaitListening waits for a Prosody that is being started at the same time.
func awaitListening(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nothing listens at "+addr))
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
