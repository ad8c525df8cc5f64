// Package survive shows that nothing is lost, doubled, stale or hung when
// things go wrong: programs at work on a mount, and faults beside them.
//
// A site is a sandbox (the embedded one, or OpenSSH behind a bridge), a link
// that can be cut, a client and a file tree without a kernel. Players work on
// it as programs do, each in a directory of its own, and keep a model of what
// must come out: every read is compared with the model byte by byte, what
// fsync acknowledged is looked up on the server at once, and in the end the
// trees are compared on the server's side and once more through the tree. An
// operation that fails because nobody can know what became of it is decided by
// looking at the server, and must have happened once or not at all. Every
// operation is bounded; one that takes longer fails the test and the stacks of
// all goroutines are shown.
//
// Where a fault takes writes away for good (a full disk, a login that is
// refused, a wait that ends), the keeper is the player: it counts what was
// acknowledged, and that has to be there.
//
// What needs a kernel runs on the built program: a daemon that is stopped,
// continued or killed, and cuts beneath real system calls.
//
// Everything random comes from a seed that a failing test shows;
// SBXMOUNT_SEED repeats it. SBXMOUNT_FAULTS=long runs more than 10,000 cuts,
// each load alone as well as all together, and the outages that take minutes.
package survive
