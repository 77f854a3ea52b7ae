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

// newCast returns "ppch-demo cast", which simulates people on an existing Prosody.
func newCast() *cobra.Command {
	var prosody, base, password string
	cmd := &cobra.Command{
		Use:   "cast --prosody HOST:PORT",
		Short: "Simulate people on a Prosody that runs elsewhere",
		Long: `Simulate people on a Prosody that runs elsewhere, configured like Jitsi's.
It is for the containers of the demo, never for a Jitsi in use.`,
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
	cmd.Flags().StringVar(&prosody, "prosody", "", "address for clients, such as prosody:5222")
	cmd.Flags().StringVar(&password, "password", "demo", "password of the accounts focus and recorder")
	cmd.Flags().StringVar(&base, "domain", "meet.jitsi", "Jitsi's domain")
	if err := cmd.MarkFlagRequired("prosody"); err != nil {
		panic(err) // the flag exists
	}
	return cmd
}

// perform simulates people until ctx ends.
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
			case m := <-people.moves:
				verb := "leaves"
				if m.joined {
					verb = "joins"
				}
				fmt.Fprintln(out, m.who, verb, m.room.name)
			}
		}
	})
	return ended(ctx, g.Wait())
}

// awaitListening waits until Prosody, which starts at the same time, accepts connections.
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
