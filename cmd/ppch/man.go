package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan returns "ppch man", which generates manual pages from the help texts of root.
func newMan(root *cobra.Command) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [COMMAND]",
		Short: "Print manual pages",
		Long: `Print the manual page of ppch or of a command, for man -l. With --dir, write the
pages of all commands to a directory, such as /usr/local/share/man/man1.`,
		Example: `  ppch man | man -l -
  ppch man key new | man -l -
  sudo ppch man --dir /usr/local/share/man/man1`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Section: "1", Source: "PPCH " + version, Manual: "PPCH"}
			if _, built := builtFrom(); !built.IsZero() {
				header.Date = &built // pages of one build are equal
			}
			root.DisableAutoGenTag = true
			if dir != "" {
				if len(args) > 0 {
					return asUsageError(fmt.Errorf("man: --dir writes all pages: omit %s", strings.Join(args, " ")))
				}
				if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- manual pages are public
					return fmt.Errorf("man: %w", err)
				}
				return doc.GenManTree(root, header, dir)
			}
			of, err := find(root, args)
			if err != nil {
				return err
			}
			return doc.GenMan(of, header, cmd.OutOrStdout())
		},
		ValidArgsFunction: completeCommand,
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory for the pages of all commands")
	return cmd
}

// find returns the command that args name.
func find(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil, asUsageError(fmt.Errorf("there is no command %q; see ppch --help", strings.Join(args, " ")))
	}
	return cmd, nil
}
