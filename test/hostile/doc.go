// Package hostile holds the whole client (connection, session, and file system,
// without a kernel) against a sandbox that lies: test/faults names the lies.
// With each of them every operation ends within a bound, with an error or with
// what is right, in bounded memory; and once the sandbox tells the truth again,
// so does the tree. Random sandboxes, by seed, mix the lies.
//
// Then the same with the kernel on the other side: programs walk, read, write and
// rename in real mounts while the sandbox lies, breaks its frames and streams and
// swaps directories for links, by seed. Beside each mount lies a canary that its
// links lead to; strace watches what a program opens. HOSTILE_TIME says how long
// (make hostile), HOSTILE_SEED with what.
package hostile
