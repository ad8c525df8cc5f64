// Package behave says how a mounted sandbox behaves, as a suite of cases in
// the words of the system calls: what a program does, what it must see, and
// which errno it must get.
//
// The cases speak to a System. There are two: Tree runs them on a vfs.Tree
// without a kernel, in the test's own process and with the race detector on
// every line; Kernel runs them by system calls in any directory, so that they
// run on a real mount over any server, and on the local file system, which
// shows that the cases themselves are right.
//
// What needs a kernel (mappings, locks, working directories, open directories
// by descriptor) are tests of this package beside go-fuse's posixtest. A page
// fault on a mount that the same process serves would stop the process for
// ever, so that these run in a child: the test binary itself, see child_test.go.
package behave
