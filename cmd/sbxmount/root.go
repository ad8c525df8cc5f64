package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const about = `sbxmount mounts a cloud sandbox's files: your editor, git, rsync and grep work on
them as on local ones.

  sbxmount <sandbox>[:<dir>] <mountpoint>

<sandbox> is an id as ` + "`e2b sandbox list`" + ` shows it, or a URL: wss://host/...,
ws://host:port/..., ssh://[user@]host[:port]. <dir> is the login user's home where
none is given; :/ is everything.`

const examples = `  sbxmount ixk2v9m0q4 ~/mnt            mount the home directory of a sandbox
  sbxmount ixk2v9m0q4:/srv ~/mnt -o ro
  sbxmount umount ~/mnt
  sbxmount demo                        see it work, without an account`

// newRoot makes the tree of commands. What is for people goes to the command's
// error stream, what is asked for to its output.
func newRoot() *cobra.Command {
	c := &config{IDMap: "user"}
	var options []string
	root := &cobra.Command{
		Use:           "sbxmount <sandbox>[:<dir>] <mountpoint>",
		Short:         "Mount a cloud sandbox's files",
		Long:          about,
		Example:       examples,
		Version:       versionText(),
		Args:          mountArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applyOptions(c, cmd.Flags(), options); err != nil {
				return err
			}
			c.Spec, c.Mountpoint = args[0], args[1]
			return mountCommand(cmd.Context(), c, cmd.ErrOrStderr())
		},
		ValidArgsFunction: completeMount,
	}
	root.Flags().SortFlags = false
	mountFlags(root.Flags(), c, &options)
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultVersionFlag()
	root.SetVersionTemplate("sbxmount {{.Version}}\n")
	root.AddCommand(umountCommand(), syncCommand(), recoverCommand(), listCommand(), statusCommand(), proxyCommand(),
		sandboxCommand(), demoCommand(), versionCommand(), serveCommand())
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	refuseWords(root, "completion")
	return root
}

// refuseWords has a command that is cobra's, and that only its sub-commands do
// something, refuse all else.
func refuseWords(root *cobra.Command, name string) {
	c, _, err := root.Find([]string{name})
	if err != nil || c == root {
		return // the tests would see
	}
	var subs []string
	for _, s := range c.Commands() {
		subs = append(subs, s.Name())
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(*cobra.Command, []string) error {
		return usage("it is written: sbxmount %s %s", name, strings.Join(subs, "|"))
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Show how sbxmount or one of its commands is used",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command %q", args[len(args)-1])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// mountArgs tells the usual mistakes apart.
func mountArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 2:
		return nil
	case len(args) == 0:
		f := usage("a sandbox and a mount point are missing")
		f.Advice = cmd.UseLine() + "\n`sbxmount help` shows the rest; `sbxmount demo` shows it work."
		return f
	case len(args) == 3 && args[0] == "mount":
		f := usage("there is no command \"mount\"")
		f.Advice = "Leave it out: sbxmount <sandbox>[:<dir>] <mountpoint>"
		return f
	case len(args) > 2:
		return usage("%d words are too many: sbxmount <sandbox>[:<dir>] <mountpoint>", len(args))
	}
	f := usage("the mount point is missing: sbxmount <sandbox>[:<dir>] <mountpoint>")
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if near := closest(args[0], names); near != "" {
		f.Advice = "Or did you mean `sbxmount " + near + "`?"
	}
	return f
}

// flagError names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if errors.As(err, new(*failure)) {
		return err
	}
	f := usage("%v", err)
	f.Advice = fmt.Sprintf("`%s --help` shows the flags.", cmd.CommandPath())
	_, given, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return f
	}
	if near := closest(given, flagNames(cmd)); near != "" {
		f.Advice = "Did you mean --" + near + "? " + f.Advice
	}
	return f
}

// noArgs and the like say what is wrong in our words.
func exactArgs(n int, use string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usage("it is written: sbxmount %s", use)
	}
}

// run executes the command line and returns what to exit with.
func run(ctx context.Context, args []string, out, errOut io.Writer) exitCode {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	f := asFailure(err)
	if f.Code == exitFailed && !errors.As(err, new(*failure)) && strings.HasPrefix(err.Error(), "unknown command") {
		f = usage("%v", err) // cobra's own, of `help` and `completion`
	}
	f.report(errOut)
	return f.Code
}
