package content

import (
	"log/slog"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Options say how much a Store may hold and how it talks to the server. Zero
// fields mean what stands in brackets.
type Options struct {
	CacheSize   int64 // bytes of clean and asked-for content, all files together (256 MiB)
	WriteBuffer int64 // bytes of dirty content, all files together (64 MiB)
	MaxRead     int   // conn.Info's: the server's largest READ (255 KiB)
	MaxWrite    int   // conn.Info's: the server's largest WRITE (255 KiB)

	// TTL is how long content that came from the server, or went there, may
	// serve new opens without a proof by size and mtime (0: never).
	TTL time.Duration
	// RTT tells the link's present round trip time (nil: unknown).
	RTT func() time.Duration
	// Now is the clock; it has a monotonic reading (time.Now).
	Now func() time.Time
	// WriteThrough makes each WriteAt wait for the server's answer.
	WriteThrough bool
	// MaxRemotes is how many server handles for reading may be open before
	// those that are not in use are closed, to be opened again by path (256).
	MaxRemotes int
	Log        *slog.Logger // (discards)
}

const (
	// maxIO is OpenSSH's largest READ and WRITE: a packet of 256 KiB less its
	// header.
	maxIO = 255 << 10
	// minBudget lets one page be fetched or written in quarters of a budget.
	minBudget = 16 << 10
	// provenAfter is how long after an mtime was first seen a fetch must be
	// sent for the mtime to prove it: the server's times have whole seconds,
	// and a second more for what its clock and ours differ in pace.
	provenAfter = int64(2 * time.Second)
	// idleAfter is how long bytes that nobody asks for stay cached.
	idleAfter = 5 * time.Minute
)

func (o *Options) defaults() {
	if o.CacheSize <= 0 {
		o.CacheSize = 256 << 20
	}
	if o.WriteBuffer <= 0 {
		o.WriteBuffer = 64 << 20
	}
	if o.MaxRead <= 0 {
		o.MaxRead = maxIO
	}
	if o.MaxWrite <= 0 {
		o.MaxWrite = maxIO
	}
	if o.MaxRemotes <= 0 {
		o.MaxRemotes = 256
	}
	if o.RTT == nil {
		o.RTT = func() time.Duration { return 0 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.CacheSize = max(o.CacheSize, minBudget)
	o.WriteBuffer = max(o.WriteBuffer, minBudget)
	o.MaxRead = int(min(int64(o.MaxRead), o.CacheSize/4))
	o.MaxWrite = int(min(int64(o.MaxWrite), o.WriteBuffer/4))
}

// Opener is a File's way to the server by its name, and to what stands above.
// Its methods are called without a lock of this package held; they must not
// wait for anything, and must not take a lock under which a method of this
// package that may call them is called (see File).
type Opener interface {
	// OpenRemote opens the file at its present path. Where it has none the
	// conn.File is nil and the Call answered, with an error.
	OpenRemote(flags conn.OpenFlags) (conn.File, *conn.Call[conn.Attr])

	// ResizeRemote sets the size of the file at its present path, as
	// truncate(2) does. It is for a file without a server handle for writing.
	ResizeRemote(size int64) *conn.Call[struct{}]

	// Wrote is told attributes of the open file that the server answered, and
	// when they were asked for: behind the writes of a flush or a truncate, by
	// an open of ours, and where a read met an early end. The File has learned
	// them already. changed says that the server's file changed by another
	// hand: what the kernel keeps of it must go.
	Wrote(attr conn.Attr, asked time.Time, changed bool)
}
