// Package e2e tests the built program as its users have it: the binary, a real
// mount, real programs on it, and a look at what then is on the server.
//
// # Parts
//
// A desk is one user's environment: home, state and configuration directories
// of its own, so that tests run side by side, and on a machine with mounts in
// use. It runs the program and knows what it mounted; when its test ends,
// nothing may be mounted any more and no daemon may run.
//
// A host is a server with a directory: OpenSSH behind websockify, OpenSSH
// behind our own bridge, and `sbxmount sandbox`. Tests of what programs do run
// on each (onEachHost); what they leave is compared on the server's side, not
// through the mount.
//
// testdata/script has the command line's cases: one txtar file for each family
// of bad input.
package e2e
