// Package link is a network link for tests and benchmarks: a TCP relay on
// loopback that delays, limits, loses and cuts.
//
//	l, err := link.New(link.Options{Target: server, RTT: 20 * time.Millisecond})
//	conn, err := net.Dial("tcp", l.Addr())
//	l.Cut() // a reset on all connections
//
// # What it emulates
//
// Each direction delays every byte by half of the round trip, counted from the
// byte's own arrival, so that the delay never limits the throughput. A new
// connection pays one round trip for TCP's handshake: the kernel accepts it at
// once, so what the client sends first is held back instead. A rate is shared by
// all connections of one direction, as on a wire, with a router's buffer in
// front of it; without a rate the link takes all that comes. There is no
// window, no loss of single packets and no slow start: the emulator must
// never be what a measurement shows.
//
// Blackhole stops all traffic without a word and lets it go on later, as TCP
// does after an outage; Strand does so to the present connections for good, as
// a new network address does. Cut resets, all or one. After does one of these, or closes
// one direction, in the middle of a packet.
//
// # Counting
//
// Stats counts connections, bytes and round trips. A round trip is counted as
// a logical clock does: what the client sends is one later than the latest
// answer that it has been given, and what the server sends is as late as the
// latest request it has got. Stats.RoundTrips is therefore the longest chain
// of request, answer, request: what a client that pipelines waits for, rather
// than how much it sends. The difference between two Stats is the cost of what
// ran between them.
//
// # Locks
//
// Link.mu guards the settings and the table of connections, flow.mu one
// direction's queue. Neither is held while the other is taken, nor during I/O.
// Each connection has four goroutines, which Close waits for.
package link
