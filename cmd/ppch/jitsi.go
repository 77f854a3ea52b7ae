package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/jitsi"
)

// newJitsi returns "ppch jitsi", which puts PPCH beside a Jitsi and takes it away again.
func newJitsi(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jitsi",
		Short: "Put PPCH beside a Jitsi that is there, or take it away",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJitsiInstall(env), newJitsiUninstall(env))
	return cmd
}

func newJitsiInstall(env config.Lookuper) *cobra.Command {
	o := jitsi.Options{Lookup: env.Lookup}
	cmd := jitsiCommand(&o, jitsi.Install, &cobra.Command{
		Use:   "install --dir PATH",
		Short: "Write the Lua module, the component and the settings",
		Long: `Write what Prosody and PPCH need to a docker-jitsi-meet directory, or to
/etc/prosody of Debian's Jitsi packages:

  - the Lua module, where Prosody looks for modules;
  - conf.d/ppch.cfg.lua with the component, its port and a fresh secret;
  - the module's name in Jitsi's .env (Debian: in the sections of the rooms);
  - PPCH's settings, with a fresh key, in the same .env (Debian: in ppch.env).

What is to be done is shown as a diff first, with secrets hidden. On a terminal
it is done when you say yes, elsewhere at once. What is there is kept, line by line,
and as it was in the folder .ppch. Run twice it does nothing the second time;
interrupted it can be run again.

As root in a directory that another user owns it does nothing that this user could
not do alone: it follows root's links only, and writes to no other folders than that
user's and those of --allow-dir.`,
		Example: `  ppch jitsi install --dir ~/docker-jitsi-meet --dry-run
  sudo ppch jitsi install --dir ~/docker-jitsi-meet
  sudo ppch jitsi install --dir /etc/prosody --domain meet.example.com
  docker run --rm -it --user 0 -e HOME -v "$HOME:$HOME" ppch jitsi install --dir ~/docker-jitsi-meet --env-file ~/ppch/.env`,
	})
	cmd.Flags().StringVar(&o.Component, "component-domain", "", `name of the component (default "ppch." and Jitsi's domain)`)
	cmd.Flags().IntVar(&o.Port, "component-port", 0, "port for Prosody to listen on for components (default 5347)")
	cmd.Flags().StringVar(&o.Interface, "component-interface", "", "address for that (default all inside of a container, loopback for Debian)")
	return cmd
}

func newJitsiUninstall(env config.Lookuper) *cobra.Command {
	o := jitsi.Options{Lookup: env.Lookup}
	return jitsiCommand(&o, jitsi.Uninstall, &cobra.Command{
		Use:   "uninstall --dir PATH",
		Short: "Put every file back as it was before \"install\"",
		Long: `Put every file back as it was before "ppch jitsi install", byte by byte. From a
file that was edited since, only what "install" added is taken out, and you are told.
Flags of "install" need not be repeated.`,
		Example: `  sudo ppch jitsi uninstall --dir ~/docker-jitsi-meet`,
	})
}

// jitsiCommand completes a command that makes a plan, shows it, and carries it out.
func jitsiCommand(o *jitsi.Options, plan func(jitsi.Options) (*jitsi.Plan, error), cmd *cobra.Command) *cobra.Command {
	var dryRun, yes bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := plan(*o)
		if err != nil {
			return fmt.Errorf("jitsi %s: %w", cmd.Name(), err)
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s\n%s", p.What, p.Diff())
		for _, note := range p.Notes {
			fmt.Fprintln(out, "Note:", note)
		}
		switch {
		case p.Empty():
			fmt.Fprintln(out, "Nothing to do: all is in place. What follows an installation:")
		case dryRun:
			fmt.Fprintln(out, "Nothing was written: this was --dry-run. What follows then:")
		default:
			if err := confirm(cmd.Context(), cmd.InOrStdin(), out, yes); err != nil {
				return err
			}
			if err := p.Apply(cmd.Context()); err != nil {
				return fmt.Errorf("jitsi %s: %w", cmd.Name(), err)
			}
			fmt.Fprintln(out, "Done. Next:")
		}
		for _, command := range p.Next {
			fmt.Fprintln(out, "  "+command)
		}
		return nil
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory with docker-jitsi-meet's docker-compose.yml, or /etc/prosody")
	cmd.Flags().StringVar(&o.Domain, "domain", "", "Jitsi's domain, where /etc/prosody/conf.d has several Jitsis")
	cmd.Flags().StringVar(&o.EnvFile, "env-file", "", "file for PPCH's settings (default PATH/.env, Debian: PATH/ppch.env)")
	cmd.Flags().StringArrayVar(&o.AllowDirs, "allow-dir", nil, "as root: a further folder to write to, which neither is in PATH nor belongs to its owner")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done, and write nothing")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

// confirm asks, if there is a person to ask.
func confirm(ctx context.Context, in io.Reader, out io.Writer, yes bool) error {
	if terminal, ok := in.(*os.File); yes || !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil
	}
	fmt.Fprint(out, "Write this? [y/N] ")
	answers := make(chan string, 1)
	// It ends with the line, or with the process: a read of a terminal can't be called off.
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
	}
	return errors.New("nothing was written")
}
