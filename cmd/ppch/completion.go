package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout keeps a shell responsive while no service answers.
const completionTimeout = 2 * time.Second

// complete makes the shell offer values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // unknown flag
	}
}

// completeRoom offers the open rooms as the argument of a command, the largest first.
func (a *apiClient) completeRoom(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	if len(args) > 0 {
		return nil, directive
	}
	c, err := a.client(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	names, err := c.RoomNames(ctx, typed)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, directive
}

// completeList offers values for the last item of a comma-separated list.
func completeList(values ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		for _, v := range values {
			if !strings.Contains(","+before, ","+v+",") {
				all = append(all, before+v)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeCommand offers the commands below those already typed.
func completeCommand(cmd *cobra.Command, args []string, _ string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
	if of, err := find(cmd.Root(), args); err == nil {
		for _, sub := range of.Commands() {
			if sub.IsAvailableCommand() {
				all = append(all, sub.Name())
			}
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
