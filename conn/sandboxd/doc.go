// Package sandboxd is a sandbox in this process: it serves one local directory
// the way that a cloud sandbox serves its file system, for trying things out
// and for tests.
//
//	s, err := sandboxd.Start(ctx, sandboxd.Options{Dir: "/tmp/box"})
//	fmt.Println(s.URL()) // ws://127.0.0.1:40123/?token=…
//	defer s.Close()
//
// # What it serves
//
// One listener on loopback answers the provider's HTTP API (api.go) and
// upgrades everything else to a WebSocket (edge.go), whose binary messages are
// the byte stream of an SSH connection (stream.go, ssh.go) with the sftp
// subsystem (sftp*.go): what in a cloud is edge proxy, websocat, sshd and
// sftp-server.
//
// The SFTP server speaks version 3 with OpenSSH's extensions and is meant to be
// told from OpenSSH's sftp-server by nothing: one request at a time in order,
// the same limits, modes, status codes, long names, handles that live on when
// their file is unlinked, and file times of whole seconds. pkg/sftp's server is
// not used: it has no modes at open and mkdir, asks for a handle's attributes
// by its path, and knows neither fsync, lsetstat, limits nor copy-data.
//
// # Contained
//
// Clients see the directory as "/", as after chroot(2): absolute symbolic
// links and ".." begin and end there. An os.Root holds the directory, so that
// a link that is swapped at the wrong moment leads nowhere else either
// (tree.go). Link texts are shown as they are. A directory that may be searched
// but not read hides what is below it, other than after chroot.
//
// The listener takes loopback addresses only, asks for a random token that is
// compared in constant time, and refuses what a browser sends. There is no
// shell unless Options.Exec brings one.
//
// The package imports no other of this module: whoever tests against it tests
// against somebody else's reading of the protocols.
//
// # Goroutines and locks
//
// A connection has a goroutine for its messages out, x/crypto/ssh's own, and
// one for each channel; an SFTP session is served by its channel's alone and
// needs no lock. Close ends all and waits. Server.mu guards the sandbox's state
// and the table of connections; wsStream.mu guards one connection's bytes on
// their way out. Neither is held during I/O or while the other is taken.
package sandboxd
