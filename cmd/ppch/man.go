//go:build man

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// addMan adds "ppch man DIR", which writes manual pages of all commands, from their help texts.
// It is for releases, which contain the pages: the libraries for them would add 0.3 MB to the program.
func addMan(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use:    "man DIR",
		Short:  "Write manual pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Section: "1", Source: "PPCH " + version, Manual: "PPCH"}
			if _, built := builtFrom(); !built.IsZero() {
				header.Date = &built // pages of one build are equal
			}
			root.DisableAutoGenTag = true
			if err := os.MkdirAll(args[0], 0o755); err != nil { // #nosec G301 -- manual pages are public
				return fmt.Errorf("man: %w", err)
			}
			return doc.GenManTree(root, header, args[0])
		},
	})
}
