// Command bench measures sbxmount beside sshfs and plain ssh, in one run, over
// the same link and WebSocket bridge, against OpenSSH's server.
//
//	go run ./test/bench                          everything, medians of 3
//	go run ./test/bench -run 'find|git' -rtt 20 -n 1 -systems sbxmount,sshfs
//
// # What is measured
//
// A Work is what a user waits for: a command, or a few lines of Go that do what
// an editor does, in the mounted directory. Its time ends when the server
// has it all: works that write are followed by `sbxmount sync` where writes go
// behind, and count only if what is then on the server is right, byte for byte.
// A cold work gets a fresh mount; a warm one is done twice on one mount, and
// the second time counts, after caches of a second have aged.
//
// All runs on one machine:
//
//	work -> kernel -> system under test -> link (delay, rate) -> WebSocket bridge -> sshd -> sftp-server
//
// The link is package link, the bridge and sshd package openssh; link and
// bridge are in this process. The systems:
//
//	sbxmount  bin/sbxmount, default mode
//	async     bin/sbxmount --writes async, once the binary has that mode
//	sshfs     Debian's, whose ssh goes through the bridge by this program's wsproxy
//	ssh       the same work done on the server, and sent over: a logged-in
//	          ssh (ControlMaster) with cat, tar, find, …
//	limit     our own package conn with as much in flight as it takes, no FUSE
//
// # What comes out
//
// A table with the ratio for each target, results.json with every sample, and
// SVG plots: throughput against the round trip, seconds a work, and curves over
// the number of files (time and memory) and of readers. What sbxmount takes is
// judged, too: CPU seconds of reads beside sshfs's, the largest resident memory of
// all rows, and what each file of a large tree adds to it. Beside the time stand round trips (the longest chain of request
// and answer that crossed the link, package link), bytes, CPU seconds and the
// largest resident memory of the system's processes.
package main
