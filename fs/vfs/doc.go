// Package vfs is a sandbox's file system without a kernel: the inodes and their
// names, what is known of them and for how long, the changes that are under
// way, and what is fetched before anybody asks for it. Package content, below,
// has the bytes of files; package fs, above, is the kernel's way in.
//
// A Tree promises
//
//   - to see what changed on the sandbox after the TTL at the latest, by asking
//     for a directory as a whole rather than for each file;
//   - to show what is changed through it at once, in names, attributes, times
//     and listings, whatever answers are still on their way;
//   - to report what a change that nobody waited for came to, once, at the
//     file's next flush, fsync, rename or unlink;
//   - to keep an inode's number over renames, and from mount to mount;
//   - to keep a file that is open usable when its name is taken or replaced;
//   - to hold no more than MaxInodes inodes and MaxOpen open files;
//   - to decide nothing about permissions: the server does.
//
// # Data flow
//
//	Lookup, GetAttr   inode table -- stale? --> LSTAT of the name that waits,
//	                                            LIST of its directory beside it
//	OpenDir           listing     -- stale? --> LIST
//	Open, Read        content     -- not here?  OPEN, READ
//	                  walker: what comes next, listed and read in the background
//	Write, Flush      content: WRITE behind, flush waits
//	Mkdir, Rename...  request --> answer --> the tree, in the order of answers
//
// An inode is what has attributes; a name leads to it from a directory. Both
// remember when the server was asked for what they say: names and attributes
// younger than the TTL are trusted. A complete listing that is younger answers
// for missing names, too. A long listing is taken in as it comes, and each part
// of it is as old as the request that brought it. Instants are the tree's own: monotonic, never twice
// the same, so that "asked before changed" is always decided.
//
// Names and attributes change in one place each: confirm and takeEntry take
// the server's word on names, learn on attributes, change and its callers
// (make.go, remove.go, rename.go, setattr.go, open.go) that on what was done
// here. An answer counts only if no local change stands between question and
// answer: see type change. A question that is on its way is shared by all who
// ask it.
//
// Nlink is what listings tell, kept up to date by what is done here; Ctime is
// Mtime, unless attributes were changed later through this mount or were seen
// to change; Atime is the server's and does not move with reading. While
// written bytes are on their way Mtime is our idea of the server's clock, and
// after the flush what the server says.
//
// # Round trips
//
// What each operation keeps its caller waiting for. "Fresh" is younger than the
// TTL. Tests hold the code to this table.
//
//	Lookup           0 fresh, or missing from a fresh listing; else 1, and 1
//	                 more for a link whose text is not known
//	GetAttr          0 fresh; else 1, likewise
//	                 in a huge directory, in the order of its listing: 1 for up
//	                 to 1,024 names
//	OpenDir          0 fresh; else 2
//	ReadDir          0, or what the names behind the first thousand take to come
//	ReadDirPlus      likewise, and 1 for the texts of up to 1,024 links
//	Readlink         0 known and unchanged; else 1, with the next 32 of the directory
//	Open             0 to read what is cached, fresh and known to be readable;
//	                 else 1, O_TRUNC included
//	Create           1
//	Read             0 cached; else 1
//	Write            0; 1 in through mode
//	Flush            0 clean; else 1 after the last write
//	Sync             1
//	SetAttr          mode and times of the login user's regular files: 0;
//	                 else 1, and 1 more before it for one half of a pair
//	                 (owner and group, both times) if the other is not known
//	Mkdir, Rmdir, Symlink, Link, Unlink    1
//	Rename           1, and 1 before it for unsent data of the file
//	StatFS           1; 0 while the link is down
//	CopyRange        1 for each piece that the server copies
//	Forget, Release, Changed               0
//
// So an editor's save (create, write, fsync, close, rename) is 3, a small new
// file 2, find through a tree that was never seen about two for each level.
//
// While the link is down, what the server told so long ago as Options.Offline
// says, and of the root whenever, counts as fresh: whoever only looks does not
// wait. What is not known, and every change of a name, waits for the link. With
// a TTL of 0 everything does.
//
// # Symbolic links
//
// The kernel follows links, on the local machine: a text decides what programs
// reach. linktext.go turns the server's texts into ones that stay in the mount,
// whatever is swapped meanwhile, since they go up only where the kernel came
// down; anchor.go has the outside view that those lead to which lead out of the
// mounted directory. Every text passes told on its way here and storedText on
// its way there. A link's size is the length of what it shows, so attributes
// of a link wait for its text. A link's inode has one name: what it shows
// depends on its place.
//
// # Locks
//
// Tree.mu guards all names and attributes. A rename, a listing or forgetting
// touches many inodes, and each is a few map operations: one lock is simpler to
// be right about than an order of many, and is held for work in memory alone.
// No Remote is called with it, no Call waited for and no Notifier called: what
// must be started is left in Tree.later, and unlock does it. Locks of package
// content come after Tree.mu: of its methods only those that neither block nor
// call back are called with it. notes.mu is a leaf.
//
// Functions that say nothing else are called with Tree.mu held.
//
// # What may come
//
// carry and send are the two ways in which a change is waited for, or not; one
// that is journalled first would be the third. Changed is the way in for a
// watcher.
package vfs
