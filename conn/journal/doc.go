// Package journal keeps on local disk what a Remote was asked to change and did
// not answer yet, so that a daemon that is killed, or a machine that loses its
// power, loses nothing that programs took for written.
//
//	j, err := journal.Create(journal.Options{Dir: dir, Name: name, Of: of})
//	remote = j.Wrap(remote)   // every change goes through the journal
//	...
//	kept, err := j.Close()    // the file that has what is still not answered, or ""
//
//	report, err := journal.Replay(ctx, remote, dir, of, log) // by the next mount
//
// # The file
//
// A journal is a header and frames (frame.go): length, checksum, a record in
// CBOR. A record is a change as it was started, with its path at that moment and
// its bytes, or the note that one was answered. Reading stops at the first frame
// that is cut or does not add up: what a crash tears is the end. When nothing is
// unanswered the file is cut back to its header; when answered records are most
// of a large one, it is written anew. It has a bound: from half of it on, changes
// are to be waited for until there is room again (Room). A journal that can't be
// written, as on a full disk, is given up: changes go on, and are waited for
// (Works).
//
// A kill loses nothing of it, since what was written to a file outlives the
// process. Against a power cut it is brought to the disk each second, and before
// an fsync through the Remote is answered.
//
// # Replay
//
// The changes without an answer are carried out in order, each after a look at
// whether the server has it already (replay.go): the old session may have
// carried out some of them, from the first on, since a lane's requests are
// carried out in order. What is in the way is not forced: such a change is kept
// in a file for Extract, which writes it out as plain files.
//
// What the server refused, and what failed because the link was dead for too
// long, was reported to programs, and is never sent later by itself: it is kept
// for Extract, too.
//
// # Trust
//
// A journal belongs to one sandbox, whose name's hash stands in it: another's is
// never replayed. Files are 0600 in directories of 0700, and refused where they
// are another user's or links.
//
// # Locks
//
// Journal.mu guards the file and what is unanswered; it is held while the file
// is written to, and for no call of the Remote.
package journal
