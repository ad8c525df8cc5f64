// Package openssh starts a real OpenSSH server for tests and benchmarks, as the
// current user on a free port of 127.0.0.1, with a WebSocket bridge before it
// as a sandbox has one.
//
//	server := openssh.Start(t, openssh.Options{Bridge: openssh.Own})
//	// server.URL     ws://127.0.0.1:port/
//	// server.User    who logs in, with the key in the file server.Identity
//	// server.Dir     a fresh directory to work in
//
// Start ties everything to a test; New is the same for a program, which calls
// Close.
//
// Nothing outside of a temporary directory is written, except that sshd run by
// root needs /run/sshd, its privilege separation directory, which is made if
// it is missing. Keys are made anew for each server. PAM, passwords, the
// user's own SSH configuration and what the login shell reads at its start take
// no part.
//
// # Bridges
//
// Own is written with coder/websocket and frames as websocat does: each read
// from TCP is one binary message of up to 64 KiB, and the end of either side
// ends both. Websockify is Debian's bridge, an independent implementation; it
// needs no subprotocol (a client may offer "binary"). Websocat is the program
// that runs in real sandboxes, taken from PATH.
//
// # Processes
//
// sshd and a bridge are killed with all their descendants by Close. On Linux
// they also die with this process (package process), so that a test that times
// out or is killed leaves nothing behind. What a test starts on the server and
// makes a daemon is the test's own to end.
//
// # Locks
//
// Server.mu guards what Restart replaces. It is held while sshd is killed, so
// that nobody sees half of it, and during no other wait.
package openssh
