// Package faults puts knobs around the embedded sandbox, for tests: what can
// go wrong between a client and its files, by name.
//
//	s, err := faults.Server{
//		Sandbox: sandboxd.Options{Dir: dir},
//		Frames:  faults.Frames{Message: 1},
//		SFTP:    faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Op: "READ", Skip: 3}, Lie: faults.ShortData}}},
//	}.Start(ctx)
//
// From the outside in:
//
//	Edge    answers to the upgrade: error pages of a proxy, HTML, nothing
//	Frames  how the byte stream is cut into WebSocket frames, and how it ends
//	Stream  the SSH server's bytes: banners, silence, an end at any byte
//	SFTP    the packets: missing extensions, failures, lies, delays
//
// The zero value of each is a sandbox without faults. They can be changed while
// the sandbox runs. A rule with a Match counts what it has met, over all
// connections, and everything random comes from a seed, so that a test that
// sends the same requests meets the same faults.
//
// # Counting
//
// Stats counts what reaches the SFTP server. A wait begins with a request that
// arrives when no other is unanswered, on any session; a round trip is one
// link of the longest chain of request, answer, request. On loopback an answer
// can overtake the next of several requests that were sent together, so that
// one wait looks like two: SFTP.Hold keeps each answer back for a moment, as
// distance would, and the counts are what they are on a real link.
//
// # Order and locks
//
// Each SFTP session has a reader that counts requests as they arrive and a
// writer that sends answers when they are due; the server in between works
// through them one at a time. Running.mu guards the knobs, the rules' counters
// and the statistics; it is held for no I/O and no other lock is taken under
// it. A session's queues have locks of their own.
package faults
