package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/spf13/cobra"
)

// embedded is what a person or a script needs to use an embedded sandbox.
type embedded struct {
	Dir    string `json:"dir"`
	URL    string `json:"url"` // without the token
	SSH    string `json:"ssh,omitempty"`
	Token  string `json:"token"`
	ID     string `json:"id"`
	APIURL string `json:"api_url"`
	APIKey string `json:"api_key"`
}

func sandboxCommand() *cobra.Command {
	var o sandboxd.Options
	asJSON, withSSH := false, false
	c := &cobra.Command{
		Use:   "sandbox <dir>",
		Short: "Serve a directory as a sandbox does, on this machine",
		Long: `sandbox serves a directory as a sandbox does: WebSocket, SSH, SFTP, and the
provider's API, on loopback alone. Clients can't leave the directory; they need
the random token that it prints, and browsers are refused.`,
		Args: exactArgs(1, "sandbox <dir>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if withSSH {
				o.SSHAddr = "127.0.0.1:0"
			}
			o.Dir = args[0]
			return serveSandbox(cmd.Context(), o, asJSON, cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&o.Addr, "listen", "127.0.0.1:0", "loopback `address` to listen on")
	c.Flags().BoolVar(&withSSH, "ssh", false, "serve SSH without a WebSocket, too")
	c.Flags().BoolVar(&asJSON, "json", false, "print what is needed to use it as JSON")
	return c
}

func serveSandbox(ctx context.Context, o sandboxd.Options, asJSON bool, w io.Writer) error {
	var err error
	if o.HostKey, err = sandboxKey(); err != nil {
		return failed(exitFailed, "Set HOME or XDG_STATE_HOME to a directory of this user's.", "state directory: %v", err)
	}
	s, about, err := startSandbox(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	if asJSON {
		err = printJSON(w, about)
	} else {
		err = about.print(w)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// sandboxKey keeps the embedded sandboxes' host key, so that a port that is
// used again does not look like an impostor.
func sandboxKey() (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "sandbox_host_key"), privateDir(home)
}

func startSandbox(ctx context.Context, o sandboxd.Options) (*sandboxd.Server, *embedded, error) {
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		return nil, nil, failed(exitUsage, "Give a directory that exists.", "%v", err)
	}
	o.Dir = dir
	s, err := sandboxd.Start(ctx, o)
	if err != nil {
		return nil, nil, failed(exitFailed, "Give a directory that exists, and an address of this machine's loopback that is free.", "the embedded sandbox: %v", err)
	}
	u, err := url.Parse(s.URL())
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	u.RawQuery = "" // the token goes as a header
	return s, &embedded{
		Dir: dir, URL: u.String(), SSH: s.SSHURL(), Token: s.Token(), ID: s.ID(), APIURL: s.APIURL(), APIKey: s.APIKey(),
	}, nil
}

func (e *embedded) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s is served as a sandbox on %s\n\n  %s=%s sbxmount %s ~/mnt\n\nCtrl-C ends it.\n",
		plain(e.Dir), e.URL, tokenEnv, e.Token, e.URL)
	if err == nil && e.SSH != "" {
		_, err = fmt.Fprintf(w, "\nWithout a WebSocket: %s\n", e.SSH)
	}
	return err
}
