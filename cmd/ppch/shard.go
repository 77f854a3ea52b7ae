package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
)

// newShard returns "ppch shard".
func newShard(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shard",
		Short: "List and retire the Prosodys of PPCH_SHARDS_FILE",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the shards of the file",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				shards, err := fileOfShards(cmd, env)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "NAME\tKIND\tVIA\tPROSODY\tCOMPONENT\tMUC DOMAIN\tRETIRED")
				for _, s := range shards {
					retired := "-"
					if !s.Retired.IsZero() {
						retired = s.Retired.UTC().Format(time.RFC3339)
					}
					prosody, own := "-", "-"
					if s.Via == config.ViaXMPP {
						prosody, own = s.Prosody, s.Domain.String()
					}
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Kind, s.Via, prosody, own, s.MUCDomains[0], retired)
				}
				return out.Flush()
			},
		},
		&cobra.Command{
			Use:   "retire NAME",
			Short: "Take a shard out of service",
			Long: `Take a shard out of service: write retired= with the present time into its line
in PPCH_SHARDS_FILE. Drain the shard first: no meeting may take place there any more.
The service, which reads the file every two seconds, forgets its rooms then.
While a shard is silent and not retired, its rooms are unknown, which makes totals
unknown and counts inexact. To put it back into service, delete the word.`,
			Example: "  ppch shard retire b",
			Args:    takes(1),
			ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
				shards, _ := fileOfShards(cmd, env)
				for _, s := range shards {
					if s.Retired.IsZero() {
						names = append(names, s.Name)
					}
				}
				return names, cobra.ShellCompDirectiveNoFileComp
			},
			RunE: func(cmd *cobra.Command, args []string) error {
				s, err := config.Read(cmd.Context(), env)
				if err != nil {
					return err
				}
				if err := s.RetireShard(args[0], time.Now()); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is retired in %s.\n", args[0], s.ShardsFile)
				return err
			},
		},
	)
	return cmd
}

// fileOfShards returns the shards of the file.
func fileOfShards(cmd *cobra.Command, env config.Lookuper) ([]config.Shard, error) {
	s, err := config.Read(cmd.Context(), env)
	if err != nil {
		return nil, err
	}
	if s.ShardsFile == "" {
		return nil, errors.New("PPCH_SHARDS_FILE is not set: set it to the file with the shards")
	}
	shards, err := s.ShardsOfFile()
	if err != nil {
		return nil, fmt.Errorf("PPCH_SHARDS_FILE: %w", err)
	}
	return shards, nil
}
