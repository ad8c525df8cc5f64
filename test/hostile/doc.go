// Package hostile holds the whole client (connection, session, and file system,
// without a kernel) against a sandbox that lies: test/faults names the lies.
// With each of them every operation ends within a bound, with an error or with
// what is right, in bounded memory; and once the sandbox tells the truth again,
// so does the tree. Random sandboxes, by seed, mix the lies. A real mount meets
// lies in test/e2e.
package hostile
