package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/spf13/cobra"
)

func proxyCommand() *cobra.Command {
	c := &linkConfig{}
	verbose := false
	cmd := &cobra.Command{
		Use:   "proxy <sandbox>",
		Short: "Connect stdin and stdout with the sandbox's SSH port",
		Long: `proxy is an ssh ProxyCommand that needs no websocat. In ~/.ssh/config:

  Host *.sbx
      ProxyCommand sbxmount proxy $(basename %n .sbx)
      HostKeyAlias %n
      User user`,
		Args: exactArgs(1, "proxy <sandbox>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.fromEnvironment()
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			return proxy(cmd.Context(), c, args[0], cmd.InOrStdin(), cmd.OutOrStdout(), log)
		},
	}
	cmd.Flags().SortFlags = false
	linkFlags(cmd.Flags(), c)
	for _, name := range []string{"user", "identity", "host-key-check", "known-hosts", "no-agent"} {
		_ = cmd.Flags().MarkHidden(name) // taken, and without effect: ssh itself logs in
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log to stderr")
	return cmd
}

// proxy copies both ways until either end is done: as the sandbox's bridge, it
// knows no half-closed connection.
func proxy(ctx context.Context, c *linkConfig, spec string, in io.Reader, out io.Writer, log *slog.Logger) error {
	target, o, err := c.dialOptions(spec, nil, log)
	if err != nil {
		return err
	}
	stream, err := conn.DialStream(ctx, o)
	if errors.Is(err, conn.SandboxPaused) && o.Resume {
		if err := target.Provider.Resume(ctx); err != nil {
			return err
		}
		stream, err = conn.DialStream(ctx, o)
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	done := make(chan error, 2)
	go func() { _, err := io.Copy(stream, in); done <- err }()
	go func() { _, err := io.Copy(out, stream); done <- err }()
	select {
	case err = <-done:
	case <-ctx.Done():
		return failed(exitInterrupted, "", "interrupted")
	}
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		return failed(exitNetwork, "Look at the network.", "the connection broke: %v", err)
	}
	return nil
}
