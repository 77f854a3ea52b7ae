package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/component/history"
)

// newStore returns "ppch store".
func newStore(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Maintain the file with meetings and webhooks",
		Long: `Maintain the file with meetings and webhooks in PPCH_DATA_DIR. The service may
run meanwhile. Run the commands as the service's user; in a container:
docker compose exec ppch /ppch store check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Read the whole file and report what is damaged",
			Args:  cobra.NoArgs,
			RunE: onStore(env, func(ctx context.Context, s *history.Store, cmd *cobra.Command, _ []string) error {
				damage, err := s.Check(ctx)
				if err != nil {
					return err
				}
				if len(damage) > 0 {
					return fmt.Errorf("%s is damaged; restore a backup:\n  %s", s.Path(), strings.Join(damage, "\n  "))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is sound: %d bytes.\n", s.Path(), s.Size())
				return nil
			}),
		},
		&cobra.Command{
			Use:     "backup FILE",
			Short:   "Write a copy of the file as it is now",
			Long:    "Write a copy of the file as it is now to FILE, which must not exist. To restore it,\nstop the service and replace ppch.db in PPCH_DATA_DIR; remove ppch.db-wal.",
			Example: "  ppch store backup /backup/ppch-$(date +%F).db",
			Args:    takes(1),
			RunE: onStore(env, func(ctx context.Context, s *history.Store, cmd *cobra.Command, args []string) error {
				if err := s.Backup(ctx, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is a copy of %s. It contains the same personal data.\n", args[0], s.Path())
				return nil
			}),
		},
		&cobra.Command{
			Use:   "compact",
			Short: "Return free space in the file to the disk",
			Long:  "Return free space in the file to the disk. The service waits meanwhile, and the\ndisk needs as much free space as the file has.",
			Args:  cobra.NoArgs,
			RunE: onStore(env, func(ctx context.Context, s *history.Store, cmd *cobra.Command, _ []string) error {
				before := s.Size()
				if err := s.Compact(ctx); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s has %d bytes, %d fewer than before.\n", s.Path(), s.Size(), max(0, before-s.Size()))
				return nil
			}),
		},
		&cobra.Command{
			Use:   "forget-key",
			Short: "Throw away the key of pseudonyms",
			Long:  "Throw away the key of pseudonyms: afterwards it is impossible to find out which\nuser has which pseudonym, and the same user gets another one. This can't be undone.",
			Args:  cobra.NoArgs,
			RunE: onStore(env, func(ctx context.Context, s *history.Store, cmd *cobra.Command, _ []string) error {
				if err := s.DropKey(ctx); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "The key is gone. Backups may still contain it.")
				return nil
			}),
		},
	)
	return cmd
}

// onStore returns a RunE that opens the store, which the service may have open as well.
func onStore(env config.Lookuper, run func(context.Context, *history.Store, *cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		settings, err := config.Read(cmd.Context(), env)
		if err != nil {
			return err
		}
		if settings.DataDir == "" {
			return errors.New("PPCH_DATA_DIR is not set: set it to the folder with ppch.db")
		}
		s, err := history.Open(cmd.Context(), settings.DataDir, history.Options{Maintenance: true})
		if err != nil {
			return err
		}
		defer s.Close()
		return run(cmd.Context(), s, cmd, args)
	}
}
