package main

import (
	"context"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completionTime is how long a shell waits gladly.
const completionTime = 2 * time.Second

// completeMount offers the account's sandboxes, then directories.
func completeMount(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		all, err := sandbox.List(ctx, sandbox.Options{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []cobra.Completion
		for _, s := range all {
			ids = append(ids, cobra.CompletionWithDesc(s.ID, s.Alias+" "+s.State.String()))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	case 1:
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeMountpoint offers what is mounted.
func completeMountpoint(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, err := allMounts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var points []cobra.Completion
	for _, m := range all {
		points = append(points, m.state.Mountpoint)
	}
	return points, cobra.ShellCompDirectiveNoFileComp
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
