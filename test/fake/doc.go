// Package fake is a conn.Remote in memory: a server's file system with POSIX
// semantics, as sftp-server would show it, behind a link with a round trip
// time. It is for tests of what stands above conn; the contract suite holds it
// to the same promises as the real servers.
//
// Requests are carried out one at a time in the order in which they were
// started, half a round trip after their start, and answered half a round trip
// later. Time is the time package's, so that under testing/synctest a test
// counts round trips by looking at the clock. Tests change the server's side
// through Server, watch the requests and make them fail through Before.
package fake
