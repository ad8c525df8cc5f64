// Package sftp is a client of SFTP version 3 (draft-ietf-secsh-filexfer-02,
// with OpenSSH's extensions as its PROTOCOL file describes them) on one byte
// stream, made for links with a long round trip and for servers that lie.
//
// Every operation is a method that takes its place in the order of requests
// and returns at once; its answer comes to a function. Requests go out in the
// order in which they were started, as many to a write as there are:
//
//	caller -> queue -> writer goroutine -> stream -> server
//	caller <- done  <- reader goroutine <- stream <-
//
// A READ's data goes from the stream straight into the caller's buffer.
//
// Replies are read strictly. One that the protocol forbids (an id that was not
// asked for, the wrong type, a length that does not fit, an empty DATA) ends
// the session with ErrProtocol: nothing that follows on the stream could be
// trusted. What a session holds in memory is bounded by what was asked for and
// one packet of 256 KiB.
//
// The one lock, Client.mu, guards the queue and the table of requests in
// flight. It is held for no call of done and for no input or output.
package sftp
