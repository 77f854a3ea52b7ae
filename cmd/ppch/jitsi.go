package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/jitsi"
)

// newJitsi returns "ppch jitsi", which installs PPCH next to a Jitsi and uninstalls it.
func newJitsi(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jitsi",
		Short: "Install PPCH next to an existing Jitsi, or uninstall it",
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
		Short: "Install the Lua module, the component and the settings",
		Long: `Install PPCH in a docker-jitsi-meet directory, or in /etc/prosody of Debian's
Jitsi packages. The command writes:

  - the Lua module, to Prosody's folder for modules;
  - conf.d/ppch.cfg.lua with the component, its port and a new secret;
  - the module's name, to Jitsi's .env (Debian: to the sections of the rooms);
  - PPCH's settings with a new key, to the same .env (Debian: to ppch.env).

It first shows all changes as a diff, with secrets hidden. On a terminal it asks
before writing. It keeps every existing line, and a copy of each original file in
the folder .ppch. A second run changes nothing; after an interruption, run it again.

As root in a directory of another user, it does nothing that this user could not do:
it follows only root's links, and writes only to that user's folders and those of
--allow-dir.`,
		Example: `  ppch jitsi install --dir ~/docker-jitsi-meet --dry-run
  sudo ppch jitsi install --dir ~/docker-jitsi-meet
  sudo ppch jitsi install --dir /etc/prosody --domain meet.example.com
  docker run --rm -it --user 0 -e HOME -v "$HOME:$HOME" ppch jitsi install --dir ~/docker-jitsi-meet --env-file ~/ppch/.env`,
	})
	cmd.Flags().StringVar(&o.Component, "component-domain", "", `domain of the component (default "ppch." and Jitsi's domain)`)
	cmd.Flags().IntVar(&o.Port, "component-port", 0, "Prosody's port for components (default 5347)")
	cmd.Flags().StringVar(&o.Interface, "component-interface", "", "address of that port (default all in a container, loopback for Debian)")
	return cmd
}

func newJitsiUninstall(env config.Lookuper) *cobra.Command {
	o := jitsi.Options{Lookup: env.Lookup}
	return jitsiCommand(&o, jitsi.Uninstall, &cobra.Command{
		Use:   "uninstall --dir PATH",
		Short: "Restore all files to their state before \"install\"",
		Long: `Restore all files byte for byte to their state before "ppch jitsi install". From a
file that was edited later, remove only what "install" added, and print a note.
The flags of "install" need not be repeated.`,
		Example: `  sudo ppch jitsi uninstall --dir ~/docker-jitsi-meet`,
	})
}

// jitsiCommand completes a command that makes a plan, shows it, and applies it.
func jitsiCommand(o *jitsi.Options, plan func(jitsi.Options) (*jitsi.Plan, error), cmd *cobra.Command) *cobra.Command {
	var dryRun, yes bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := plan(*o)
		if errors.Is(err, jitsi.ErrNotJitsi) && !filepath.IsAbs(o.Dir) && inContainer() {
			return fmt.Errorf("jitsi %s: %w; in a container, --dir must be an absolute path that -v mounts, such as \"$PWD\"", cmd.Name(), err)
		}
		if err != nil {
			return fmt.Errorf("jitsi %s: %w", cmd.Name(), err)
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s\n%s", p.Title, p.Diff())
		for _, note := range p.Notes {
			fmt.Fprintln(out, "Note:", note)
		}
		switch {
		case p.Empty():
			fmt.Fprintln(out, "Nothing to do. Next steps after an installation:")
		case dryRun:
			fmt.Fprintln(out, "Nothing was written (--dry-run). Next steps after an installation:")
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
		if p.Access != "" {
			fmt.Fprintln(out, p.Access)
		}
		return nil
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory with docker-jitsi-meet's docker-compose.yml, or /etc/prosody")
	cmd.Flags().StringVar(&o.Domain, "domain", "", "Jitsi's domain, if /etc/prosody/conf.d has several Jitsis")
	cmd.Flags().StringVar(&o.EnvFile, "env-file", "", "file for PPCH's settings (default PATH/.env, Debian: PATH/ppch.env)")
	cmd.Flags().StringArrayVar(&o.AllowDirs, "allow-dir", nil, "additional folder that root may write to; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the changes without writing")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // unknown flag
	}
	return cmd
}

// inContainer reports whether this process runs in a container of Docker or Podman.
func inContainer() bool {
	return slices.ContainsFunc([]string{"/.dockerenv", "/run/.containerenv"}, func(file string) bool {
		_, err := os.Stat(file)
		return err == nil
	})
}

// confirm asks for confirmation on a terminal.
func confirm(ctx context.Context, in io.Reader, out io.Writer, yes bool) error {
	if terminal, ok := in.(*os.File); yes || !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil
	}
	fmt.Fprint(out, "Write this? [y/N] ")
	answers := make(chan string, 1)
	// The goroutine ends with the line or the process, because reading a terminal can't be canceled.
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
