package conn

// Remote is a sandbox's file system as SFTP carries it: the contract between
// the file system above and what speaks to a server.
//
// Paths are absolute, with exact bytes; no operation follows a symbolic link
// in the last component, except Open, which must not be given one. Nothing
// here caches.
//
// Starting never blocks. Foreground operations (all, unless a method takes a
// Class) that one goroutine starts one after another on names and on Files
// are carried out in that order, with two freedoms: reads may overtake, and
// writes to different ranges of one File may overtake one another. Within a
// File, SetAttr, Stat, Sync and Close take effect after all WriteAts started
// before them. An operation on a name that publishes a File's bytes (Rename)
// overtakes that File's small writes never, its bulk writes possibly: wait for
// them first. Two WriteAts of one File to overlapping ranges must not be in
// flight at once.
//
// While the link is down operations wait, within the bound that the
// implementation states, and then end with TimedOut or NotConnected. The
// number of round trips that each costs stands beside it, as does what
// becomes of it when the connection is lost before its answer: "asked again"
// has no effect to repeat, "sent again" is idempotent, "looked up" is decided
// by looking at the names, "fails" ends with Other since nobody can know.
type Remote interface {
	// Info says what was learned of the server and its login user.
	Info() Info

	// Lstat returns a name's attributes. 1 round trip; asked again.
	Lstat(path string) *Call[Attr]

	// List returns a directory's entries with their attributes, up to max
	// entries (0: the implementation's bound; over that it ends with NoMemory,
	// so that a listing without end ends). 2 round trips, and one more for
	// each some hundred names beyond what was asked for ahead; asked again.
	//
	// If there are many names, some, where not nil, may be called with parts of
	// the listing as they come; the answer then has the rest. After a loss all
	// is told once more, names that were told before included. some must not
	// block, and what it is called with after the answer does not count.
	List(path string, max int, class Class, some func(Listing)) *Call[Listing]

	// Readlink returns a symbolic link's text, exact bytes, at least one, no
	// NUL. 1 round trip; asked again.
	Readlink(path string) *Call[string]

	// SetAttr changes attributes, of the link itself where path is one
	// (lsetstat@openssh.com; Unsupported without it). 1 round trip; sent again.
	SetAttr(path string, set SetAttr) *Call[struct{}]

	// Mkdir makes a directory and returns its attributes; it has perm, also
	// where the server's umask is stricter. 1 round trip; looked up: fails
	// where the name then exists.
	Mkdir(path string, perm Mode) *Call[Attr]

	// Symlink makes a symbolic link and returns its attributes. 1 round trip;
	// looked up: done if the link with that text is there.
	Symlink(text, path string) *Call[Attr]

	// Link gives a file another name and returns the new name's attributes
	// (hardlink@openssh.com; Unsupported without it). 1 round trip; looked up:
	// fails where the name then exists.
	Link(old, new string) *Call[Attr]

	// Rename moves a name. With replace it takes the place of what is there
	// atomically (posix-rename@openssh.com), else it ends with Exist where
	// something is. 1 round trip; looked up.
	Rename(old, new string, replace bool) *Call[struct{}]

	// Unlink removes a name that is no directory. 1 round trip; looked up:
	// done if the name is gone.
	Unlink(path string) *Call[struct{}]

	// Rmdir removes an empty directory. 1 round trip; looked up likewise.
	Rmdir(path string) *Call[struct{}]

	// StatFS returns the capacity of the file system that path is on
	// (statvfs@openssh.com; Unsupported without it). 1 round trip; asked again.
	StatFS(path string) *Call[StatFS]

	// Open opens a regular file. The File can be used at once: what is started
	// on it goes out as soon as the server's handle is known. The Call returns
	// the attributes right after the opening; when it ends with an error, so
	// does everything on the File. 1 round trip. A created file has perm, also
	// where the server's umask is stricter. After a loss it is opened again
	// without OpenCreate, OpenExcl and OpenTrunc; whose answer was lost:
	// OpenExcl is looked up as Mkdir, the others are sent again.
	Open(path string, flags OpenFlags, perm Mode) (File, *Call[Attr])

	// Copy has the server copy n bytes from one open File's offset to
	// another's (copy-data; Unsupported without it), in pieces, and returns how
	// many it copied: fewer only at src's end. After a loss it is sent again.
	Copy(src File, srcOff int64, dst File, dstOff, n int64) *Call[int64]
}

// File is an open file of a Remote. It survives its connection: after a
// reconnect it is opened again by its path and, unless it is still the same
// file, everything on it ends with Stale.
//
// Buffers belong to the File from the start of an operation to its answer.
type File interface {
	// ReadAt fills p from off. It returns len(p) bytes, or fewer with io.EOF
	// where the server said that the file ends there. Short replies are asked
	// on for, empty ones are an error. 1 round trip however large p is, windows
	// permitting; asked again.
	ReadAt(p []byte, off int64) *Call[int]

	// WriteAt writes all of p at off; on an OpenAppend File at the end,
	// wherever that is, and off is only what the caller expects. 1 round trip
	// likewise; sent again, except that an append is looked up: done if the
	// bytes are found once after the last known end, else it fails.
	WriteAt(p []byte, off int64) *Call[struct{}]

	// SetAttr changes the open file's attributes. 1 round trip; sent again.
	SetAttr(set SetAttr) *Call[struct{}]

	// Stat returns the open file's attributes. 1 round trip; asked again.
	Stat() *Call[Attr]

	// Sync has the server's kernel bring the file to its disk
	// (fsync@openssh.com; where the server has none, it is a wait for all
	// writes). 1 round trip; sent again after the writes before it.
	Sync() *Call[struct{}]

	// Moved tells the File that its name is now path, for reopening; "" says
	// that it has none any more, so that a lost connection makes it Stale.
	Moved(path string)

	// Close releases the server's handle behind everything started before it.
	// It waits for nothing and reports nothing: who needs to know waits for
	// the writes.
	Close()
}

// OpenFlags say how a file is opened.
type OpenFlags uint16

// At least one of OpenRead and OpenWrite is given.
const (
	OpenRead OpenFlags = 1 << iota
	OpenWrite
	OpenAppend     // every write goes to the end
	OpenCreate     // make it if it is missing
	OpenExcl       // with OpenCreate: end with Exist if it is there
	OpenTrunc      // empty it
	OpenBackground // reads of this File stand behind Foreground work
)

// Class is what a program waits for, or what is done ahead of it.
type Class uint8

// Background work never stands in the way of Foreground work.
const (
	Foreground Class = iota
	Background
)

// Info is what a Remote learned when it connected. It is the same after every
// reconnect, or the reconnect is refused.
type Info struct {
	Home       string // the login user's home directory
	UID, GID   uint32 // the login user's, where OwnerKnown
	OwnerKnown bool
	MaxRead    int  // bytes in the largest READ that the server answers whole
	MaxWrite   int  // bytes in the largest WRITE
	Copies     bool // the server copies (copy-data)
	Links      bool // hard links can be made
}
