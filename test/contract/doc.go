// Package contract is one suite for every implementation of conn.Remote: it
// holds it to each promise that conn/remote.go states about a link that works.
// What becomes of operations when the link does not is tested beside the
// implementation.
//
// A Subject says which Remote, in which directory, and what its server lacks:
// a lack is checked, too, since Unsupported is promised then.
//
// Every case works in a directory of its own and leaves nothing open. Cases
// run one after another on one Remote, as a file system uses it.
package contract
