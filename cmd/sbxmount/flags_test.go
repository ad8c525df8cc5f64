package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// FuzzFlags reads whatever a command line may be: arguments, with a NUL between
// two. Nothing is carried out; what is refused is refused as usage, and what is
// taken is within its bounds.
func FuzzFlags(f *testing.F) {
	f.Add("abc\x00/m\x00--ttl\x005s")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		var options []string
		c := &config{IDMap: "user"}
		mount := &cobra.Command{Use: "mount", SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs}
		mount.CompletionOptions.DisableDefaultCmd = true
		mountFlags(mount.Flags(), c, &options)
		mount.SetFlagErrorFunc(flagError)
		mount.RunE = func(cmd *cobra.Command, _ []string) error {
			if err := applyOptions(c, cmd.Flags(), options); err != nil {
				return err
			}
			return c.check()
		}
		if run := tryOut(mount, args); run.refused == nil && run.done {
			if c.CacheSize < 1<<20 || c.WriteBuffer < 1<<20 || c.MaxInodes < minInodes || c.MaxOpen < minOpen ||
				c.MaxRequests < minOpen || c.TTL < 0 || c.Link.Timeout < 0 || c.Link.Port < 1 || c.Link.Port > 65535 {
				t.Errorf("%q is taken: %+v", args, c)
			}
		} else if run.refused != nil && asFailure(run.refused).Code != exitUsage {
			t.Errorf("%q: %v", args, run.refused)
		}

		root := newRoot()
		for _, sub := range append(root.Commands(), root) {
			if sub.RunE != nil || sub.Run != nil {
				sub.Run, sub.RunE = nil, func(*cobra.Command, []string) error { return nil }
			}
		}
		if run := tryOut(root, args); run.refused != nil {
			if f := new(failure); errors.As(run.refused, &f) && f.Code != exitUsage {
				t.Errorf("%q: %v", args, run.refused)
			}
		}
	})
}

// trial is what became of a command line.
type trial struct {
	done    bool // the command was run
	refused error
}

func tryOut(c *cobra.Command, args []string) (r trial) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error { r.done = true; return run(cmd, args) }
	}
	c.SetArgs(args)
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	r.refused = c.Execute()
	return r
}
