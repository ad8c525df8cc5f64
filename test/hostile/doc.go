// Package hostile holds the whole client (connection, session, file system, and
// a real mount) against a sandbox that lies: test/faults names the lies. With
// each of them every operation ends within a bound, with an error or with what
// is right, in bounded memory; and once the sandbox tells the truth again, so
// does the mount. Random sandboxes, by seed, mix the lies.
package hostile
