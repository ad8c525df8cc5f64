package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// unresponsive is the state of a mount whose daemon lives and does not answer.
const unresponsive = "not responding"

// listed is a line of `list`.
type listed struct {
	mountState
	State string `json:"state"`
}

func listCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "list",
		Short: "Show every mount of this user",
		Args:  exactArgs(0, "list [--json]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			living, err := livingMounts(noteTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			lines := make([]listed, 0, len(living))
			for _, s := range askAll(cmd.Context(), living) {
				lines = append(lines, listed{s.mountState, s.Link.State})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), lines)
			}
			printList(cmd.OutOrStdout(), lines)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func printList(w io.Writer, lines []listed) {
	if len(lines) == 0 {
		fmt.Fprintln(w, "nothing is mounted")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "SANDBOX\tDIRECTORY\tMOUNT POINT\tSTATE\tPID")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", plain(l.Sandbox), plain(l.Dir), plain(l.Mountpoint), l.State, l.PID)
	}
	t.Flush()
}

func statusCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "status [mountpoint]",
		Short: "Show how a mount is: link, round trip, bytes waiting, errors",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("it is written: sbxmount status [--json] [mountpoint]")
			}
			return nil
		},
		ValidArgsFunction: completeMountpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := wanted(args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			told := askAll(cmd.Context(), all)
			if asJSON && len(args) == 1 {
				return printJSON(cmd.OutOrStdout(), told[0])
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), told)
			}
			printStatus(cmd.OutOrStdout(), told)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON: of one mount its object, else an array of all")
	return c
}

func wanted(args []string, w io.Writer) ([]*mountRef, error) {
	if len(args) == 0 {
		return livingMounts(noteTo(w))
	}
	m, err := namedMount(args[0], w)
	return []*mountRef{m}, err
}

func printStatus(w io.Writer, all []status) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing is mounted")
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		s.print(w, time.Now())
	}
}

// askAll asks all daemons at once. One that does not answer is told as such.
func askAll(ctx context.Context, all []*mountRef) []status {
	told := make([]status, len(all))
	var asking sync.WaitGroup
	for i, m := range all {
		asking.Go(func() {
			s, err := m.status(ctx)
			if err != nil {
				s = status{mountState: m.state, Events: []event{}}
				s.Link.State, s.Link.LastError = unresponsive, err.Error()
			}
			told[i] = s
		})
	}
	asking.Wait()
	return told
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(harmless{w})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
