// Package content holds the bytes of files between local programs and a
// server: what is cached, what is on its way, what is written and not there
// yet. It knows no names and no kernel; a File belongs to an inode above, its
// Opener, and works on the server through conn.File handles.
//
// # What is promised
//
// A reader sees what was written here, at once. What Flush or Sync acknowledged
// is on the server; what was lost is reported by Flush or Sync of every Handle
// that is open for writing, once each, with the kind of the first error, and is
// never sent later by itself. An end of file is passed on only where the
// server's attributes say that the file ends there. Content serves a new open
// only if size and mtime are those of the server and it was asked for at least
// two seconds, by our monotonic clock, after that mtime was first seen (the
// server's times have whole seconds), or less than the TTL ago. No budget is
// ever exceeded: CacheSize bounds clean and asked-for bytes, WriteBuffer dirty
// ones.
//
// # Data flow
//
// A File's view is an ordered map of extents that don't overlap, each clean,
// dirty, sent, zeros or asked (extent.go). Bytes in it never change: a write puts
// a new extent in the place of what it covers, so that readers get slices
// without a copy and hold them as long as they like.
//
//	ReadAt -> view -> slice                            here
//	            |-> fetch -> conn.File.ReadAt -> view  asked, decoded into its chunk
//	            '-> window: what will be wanted is asked for, too
//	WriteAt -> room -> view (dirty) -> sender -> conn.File.WriteAt -> view (clean)
//
// A fetch's bytes enter the view only where it still shows that fetch: what was
// written, truncated or disproved meanwhile stays so. The window of a reader
// (window.go) starts at one request and doubles while the reader waits, once for
// each window read, up to twice what arrives in a round trip and to its share of
// half the cache; several readers of one handle, backward and strided ones are
// told apart, random ones get their pages.
//
// Writes go out at once. A tail that does not fill a request waits while others
// of its file are in flight, as in Nagle's algorithm, and goes with a flush. Two
// writes that overlap are never in flight at once, since the server may reorder
// them; a file has at most half the write buffer in flight, so that the other
// half can fill. What stands in order with writes (attributes, truncate, Sync,
// Stat) is queued in the sender with them. Appends and other writes go over
// different server handles, one at a time.
//
// # Locks
//
// File.mu guards all of a File and its Handles; Store.mu guards the budgets and
// is a leaf below it. Neither is held while an operation of conn is started or
// the Opener is called: one goroutine at a time, in File.pump, starts what
// changes the file, in order. Callbacks of Calls block on nothing but these
// locks; there are no goroutines of this package's own.
//
// # Round trips
//
//	ReadAt                  0 where the bytes are here, else 1, and 1 more if no
//	                        server handle is open
//	WriteAt                 0 (1 with WriteThrough)
//	Flush, Sync             1 behind the last write, the Stat for the new mtime
//	                        included; 0 if all was answered
//	Truncate                1
//	SetAttr, Prefetch       0 to wait for
//	CopyRange on the server 1 and the server's time, after a flush of both files
//	all else                0
package content
