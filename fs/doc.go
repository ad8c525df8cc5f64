// Package fs puts a vfs.Tree into the kernel's hands: it mounts by FUSE and
// answers the kernel's requests.
//
//	m, err := fs.Mount(ctx, fs.Options{Mountpoint: "/home/me/mnt", Tree: tree})
//	…
//	err = m.Unmount(ctx) // or m.Abort()
//	m.Wait()
//
// It translates and decides little: node ids are the tree's, lifetimes of names
// and attributes are the tree's, and so are all round trips, which stand beside
// the tree's methods. What is decided here:
//
//   - Errno numbers, in one table (errno.go). ENOSYS is never among them: the
//     kernel takes it for "never ask again", and that is used on purpose for
//     extended attributes (each write would otherwise ask for
//     security.capability), O_TMPFILE, statx beyond stat's fields, and file
//     locks, which the kernel then keeps for itself: they hold between the
//     programs of this machine.
//   - Who owns what is shown (idmap.go).
//   - What an interruption does (interrupt.go): nothing, unless the caller is
//     about to die. A change of the file system always runs to its end, behind
//     if need be.
//   - What the live mount must look like: nosuid and nodev are checked in the
//     mount table, or the mount is taken back (mount_linux.go).
//   - A panic in an operation is EIO for its caller and a line in the log.
//
// # Why the raw interface
//
// go-fuse has two levels. Its upper one, package fs, keeps inodes and
// references of its own; with vfs.Tree's that would be two tables of the same
// to keep in step. fuse.RawFileSystem lets vfs own the node ids, costs no
// memory for what the kernel does not use, fills READDIRPLUS from a listing
// without a lookup for each entry, and leaves the lifetime in SetAttr's answer
// to us.
//
// # What the kernel is told
//
// The kernel's page cache is used, and dropped when vfs says so: on an open
// (FOPEN_KEEP_CACHE is Handle.KeepCache) and by notifications. Its own ways,
// by mtime and by write-back, are off: mtime has whole seconds here, and
// write-back would make the kernel the owner of size and mtime, which hides
// what happens on the sandbox. O_APPEND handles do direct I/O, since the kernel
// thinks that it knows where the end is. One request carries up to 1 MiB.
//
// # Goroutines and locks
//
// go-fuse runs each request on a goroutine of its own. Beside them run: what
// watches an operation that waits (one each), changes (one each while they
// run), and the goroutine that serves. Mounted.Wait waits for all of them. The
// locks here (table.mu, request.mu, staleOpens.mu, device.mu) are leaves: none
// is held while another is taken, across a call of the tree, or across a
// system call on the mount.
//
// # A process and its own mount
//
// Whoever serves a mount should stay away from it. System calls on it work,
// as long as there are threads to answer them; a page fault in a mapping of it,
// a fork whose child changes into it (exec.Cmd's Dir) and an execution of a
// file of it stop the process for ever, since the Go runtime does not know that
// the thread is waiting. A process that is killed while it waits for itself
// can't end: break the mount off (Abort) in time.
package fs
