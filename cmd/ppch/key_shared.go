package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ppch/api/keys"
	"ppch/cmd/ppch/config"
	"ppch/component/bucket"
	"ppch/component/occupancy"
)

// sharedWithin limits how long a command waits for NATS.
const sharedWithin = 10 * time.Second

// inNATSHelp explains where the commands find the list.
const inNATSHelp = `

It needs PPCH_CONFIG_FROM_NATS=true, and PPCH_NATS_URL and PPCH_CLUSTER_SECRET as
the nodes have them. All nodes apply the change within a second.`

// newKeyList returns "ppch key list".
func newKeyList(env config.Lookuper) *cobra.Command {
	lines := false
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the keys and share links in NATS",
		Long:    "List the keys and share links in NATS, one a line, without anything secret." + inNATSHelp,
		Example: `  ppch key list --lines > keys.backup`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withShared(cmd, env, func(ctx context.Context, s *sharedSettings) error {
				for !s.Look(ctx) {
					if d := s.Diagnostics(); d.Problem != nil && d.Problem.Reason != occupancy.ReasonNATSUnreachable || ctx.Err() != nil {
						break
					}
				}
				list, err := s.Lines()
				if err != nil {
					return err
				}
				for line := range strings.Lines(list) {
					line = strings.TrimSpace(line)
					if !lines {
						line = keys.Rights(line)
					}
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&lines, "lines", false, "print the lines of a keys file, with the SHA-256 of each key, as a backup for ppch key import")
	return cmd
}

// newKeyRemove returns "ppch key remove".
func newKeyRemove(env config.Lookuper) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a key or share link from NATS",
		Long:  "Remove a key or share link from NATS. Streams and pages that use it end." + inNATSHelp,
		Args:  takes(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withShared(cmd, env, func(ctx context.Context, s *sharedSettings) error {
				return s.changeKeys(ctx, func(list string) (string, error) { return keys.RemoveName(list, args[0]) })
			})
		},
	}
}

// newKeyImport returns "ppch key import".
func newKeyImport(env config.Lookuper) *cobra.Command {
	replace := false
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Copy the keys and share links of a file to NATS",
		Long: `Copy the keys and share links of a keys file to NATS. Keys that NATS has are left
as they are, so that the command may be repeated. "-" reads standard input.` + inNATSHelp,
		Example: `  ppch key import ppch.keys
  ppch key import --replace keys.backup`,
		Args: takes(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readAll(cmd.InOrStdin(), args[0])
			if err != nil {
				return fmt.Errorf("key import: %w", err)
			}
			added := 0
			err = withShared(cmd, env, func(ctx context.Context, s *sharedSettings) error {
				change := s.changeKeys
				if replace {
					change = s.replaceKeys
				}
				names, err := namesOf(ctx, env)
				if err != nil {
					return err
				}
				return change(ctx, func(list string) (string, error) {
					list, n, err := keys.AddLines(list, text, names)
					added = n
					return list, err
				})
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d keys and share links added\n", added)
			return err
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "remove all others, also if the list in NATS is damaged or sealed with another secret")
	return cmd
}

// readAll returns the text of a file, or of standard input for "-".
func readAll(stdin io.Reader, path string) (string, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path) // #nosec G304 -- the operator names it
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, bucket.MaxValue+1))
	if err == nil && len(text) > bucket.MaxValue {
		err = fmt.Errorf("%s has more than %d KiB", path, bucket.MaxValue>>10)
	}
	return string(text), err
}

// namesOf returns how room names are read.
func namesOf(ctx context.Context, env config.Lookuper) (*occupancy.NameResolver, error) {
	s, err := config.Read(ctx, env)
	if err != nil {
		return nil, err
	}
	return s.Names()
}

// withShared calls run with the settings in NATS.
func withShared(cmd *cobra.Command, env config.Lookuper, run func(context.Context, *sharedSettings) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), sharedWithin)
	defer cancel()
	s, hangUp, err := dialShared(ctx, env)
	if err != nil {
		return asUsageError(err)
	}
	defer hangUp()
	return explained(run(ctx, s), s.Name())
}

// addToNATS adds the line of a new key to the list in NATS, if keys are kept there, and reports whether they are.
func addToNATS(cmd *cobra.Command, env config.Lookuper, s config.Settings, line string) (bool, error) {
	if _, err := s.SharedInNATS(); errors.Is(err, config.ErrNotFromNATS) {
		return false, nil
	}
	names, err := s.Names()
	if err != nil {
		return true, err
	}
	return true, withShared(cmd, env, func(ctx context.Context, shared *sharedSettings) error {
		return shared.changeKeys(ctx, func(list string) (string, error) {
			list, _, err := keys.AddLines(list, line, names)
			return list, err
		})
	})
}

// changeKeys changes the list of keys in NATS.
func (s *sharedSettings) changeKeys(ctx context.Context, change func(list string) (string, error)) error {
	_, err := s.Update(ctx, keysEntry, func(now bucket.Entry) (bucket.Entry, error) {
		list, err := change(string(now.Value))
		return bucket.Entry{Value: []byte(list)}, err
	})
	return err
}

// replaceKeys is changeKeys, without regard to the present list.
func (s *sharedSettings) replaceKeys(ctx context.Context, change func(list string) (string, error)) error {
	_, err := s.Replace(ctx, keysEntry, func(bucket.Entry) (bucket.Entry, error) {
		list, err := change("")
		return bucket.Entry{Value: []byte(list)}, err
	})
	return err
}

// explained returns an error of the settings in NATS with how to fix it.
func explained(err error, bucket string) error {
	var p *occupancy.UnavailableError
	if !errors.As(err, &p) {
		return err
	}
	if p.Reason == occupancy.ReasonNATSForbidden {
		return fmt.Errorf(`%s
A user who changes keys needs these permissions:
  publish    $KV.%[2]s.>
             $JS.API.STREAM.INFO.KV_%[2]s
             $JS.API.DIRECT.GET.KV_%[2]s
             $JS.API.DIRECT.GET.KV_%[2]s.>
             $JS.API.STREAM.CREATE.KV_%[2]s (only until the bucket exists)
  subscribe  _INBOX.>`, p.Remedy, bucket)
	}
	return errors.New(p.Remedy)
}
