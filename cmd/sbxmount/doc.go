// Command sbxmount mounts a cloud sandbox's file system.
//
//	sbxmount <sandbox>[:<dir>] <mountpoint>
//
// This package is the command line alone: flags, messages, exit codes, the
// daemon and its control socket. What a file is, package vfs knows; what the
// kernel wants, package fs; what a link does, package conn.
//
// # How a mount comes to be
//
// The command that a person types (mountCommand, spawn) starts this program
// again as the hidden command "serve" in a session of its own and hands it the
// config through a socket, so that neither secrets nor the sandbox's id stand
// in a list of processes. Through that socket the daemon asks what a person
// has to answer and says at last that it serves, or why not. The first process
// ends then. With -f the first process is the daemon.
//
// The daemon (daemon.start) claims the mount point in the state directory,
// prepares it, connects, mounts, and opens its control socket. It then waits
// for the first of: a signal, `sbxmount umount`, an unmount by somebody else,
// the end of the process that it was tied to (daemon.run).
//
// # State directory
//
// $XDG_RUNTIME_DIR/sbxmount, or ~/.local/state/sbxmount where there is none,
// with mode 0700 and refused where it is somebody else's. Each mount has a
// directory below mounts/ named after a hash of its mount point, with
//
//	lock           held with flock(2) as long as the daemon lives
//	mount.json     what the mount is, for `list`; replaced atomically
//	control.sock   HTTP: GET /status, POST /sync, POST /unmount
//
// Whoever can take the lock knows that the daemon is dead, and cleans up.
//
// # Errors
//
// Every command ends with nil or a *failure: an exit code of the table in
// exitcode.go, a sentence about what happened, and one about what to do.
// main alone calls os.Exit.
package main
