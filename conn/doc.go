// Package conn keeps one logical SFTP session with a sandbox over connections
// that come and go.
//
// Remote is the contract that everything above builds on; File is one open
// file of it. Both speak in Calls: an operation is started, which takes its
// place in the order of operations at once and never blocks, and waited for
// where its answer is needed. What depends on each other is so sent back to
// back, for one round trip in all:
//
//	f, opened := remote.Open("/home/user/a", conn.OpenWrite|conn.OpenCreate, 0o644)
//	f.WriteAt(data, 0)
//	synced := f.Sync()
//	f.Close()
//	attr, err := opened.Wait(ctx)
//	_, err = synced.Wait(ctx)
//
// Dial makes a Client, the implementation that reconnects, spreads bulk data
// over several connections and replays what a lost connection left
// unanswered.
//
// # How it is built
//
// A connection (client_connection.go) is one SSH connection over a WebSocket
// or TCP, which dial.go and its neighbours make. It carries lanes (lane.go):
// SSH channels with one SFTP session each (session.go), by our own pipelined
// client in internal/sftp or by pkg/sftp. The first connection has a lane for
// names, metadata and small files, and one for what is done ahead; bulk data is
// pulled from a queue by whichever bulk lane has room (lane_bulk.go). Bulk lanes
// and connections for them are opened behind the scenes when the queue calls for
// them, as far as the round trip makes them useful, and closed when idle. What
// is in flight follows what the line delivers (bulk_rate.go): about a second's.
//
// Every operation is an op (client_op.go), from its start to its answer:
//
//	start ─> admit ─> route ─> send ─> replied ─> answered ─> learn ─> end
//	           │        │                 │           └─> probe: what a FAILURE meant
//	           │        └─ waiting        └─> lost: retaken, looked up, replayed
//	           └─ a file's queue: until its handle is known, or its bulk writes are answered
//
// An op whose names stand in a file's queue waits there, too, so that a rename
// never overtakes the writes before it.
//
// # When the link is lost
//
// client_link.go connects again: at once when something waits, else only where
// that can wake no sandbox. Before the new connection serves, the old one's
// server process is ended through a shell (replay_fence.go), so that bytes still
// on their way to it can't land after newer ones; without a shell that remains a
// risk, which is logged. Then what was lost is decided by the one table in
// replay.go, and files are opened again and recognized by size and mtime
// (replay_files.go, file_ident.go). An answer that breaks the protocol, and a
// lane that hangs, fail what was sent on it and are not tried again.
//
// A dead link is noticed at once where it is reset, else by silence: any byte
// received counts as life, and only an idle link is probed, also in each step of
// a handshake. A network that changed, as Options.NetworkChanges tells, and a
// machine that woke, as the wall clock tells that ran ahead of the monotonic
// one, have the link looked at and made again at once.
//
// No connection stands by. It would save some eight of the 13 to 15 round trips
// that the first operation waits after a reset. It would cost every idle mount
// one more login, process and probe for as long as it lives, and would end with
// the first one in nearly all that ends connections: another network, a laptop
// asleep, a sandbox paused or restarted.
//
// # Locks
//
// Client.mu guards all of a Client, its ops, files and lanes; connection.mu, the
// sessions' locks and chunked.mu come after it and nothing after them. None is
// held during input, output, a wait, or a call of who waits for an answer:
// answers are given by unlock, after mu's release.
package conn
