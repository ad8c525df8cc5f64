package content

import (
	"log/slog"
	"math"

	"github.com/sbxmount/sbxmount/conn"
)

// Lost is a write that failed.
type Lost struct {
	Off  int64
	Data []byte
	Err  error
}

// losses are a file's failed writes, guarded by File.mu.
type losses struct {
	err  error // the first that File.Flush did not report
	kept []Lost
	// unheard is the first that no handle was open to hear of, until a Sync
	// reports it.
	unheard error
}

// lose takes in that a write failed: every handle that is open for writing
// will hear of it once, and the view shows the server's bytes again. The lost
// ones are kept aside, up to a quarter of the write buffer for all files.
func (f *File) lose(w *write, err error) {
	f.epoch++
	f.sender.tainted = true
	heard := false
	for _, h := range f.handles {
		if h.flags&conn.OpenWrite != 0 {
			heard = true
			if h.lost == nil {
				h.lost, h.told = err, false
			}
		}
	}
	if f.lost.err == nil {
		f.lost.err = err
	}
	if !heard && f.lost.unheard == nil {
		f.lost.unheard = err
	}
	n := int64(len(w.data))
	kept := false
	s := f.store
	s.mu.Lock()
	if s.lost+n <= s.o.WriteBuffer/4 {
		s.lost += n
		kept = true
	}
	if !heard && s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	if kept {
		f.lost.kept = append(f.lost.kept, Lost{Off: w.off, Data: w.data, Err: err})
	}
	s.o.Log.Error("a write was lost", slog.Int64("offset", w.off), slog.Int64("bytes", n),
		slog.Bool("kept", kept), slog.Bool("reported", heard), slog.Any("error", err))
	f.ask()
}

// Lost returns the writes that failed, as far as there was room to keep them.
func (f *File) Lost() []Lost {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Lost(nil), f.lost.kept...)
}

// Undelivered returns what was written and the server does not have: what Lost
// returns, and what is dirty or was not answered, with a nil Err.
func (f *File) Undelivered() []Lost {
	all := f.Lost()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view.each(0, math.MaxInt64, func(e *extent) {
		if e.state == dirty || e.state == sent {
			all = append(all, Lost{Off: e.off, Data: e.data[:e.len()]})
		}
	})
	return all
}

func (f *File) takeUnheard() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.lost.unheard
	f.lost.unheard = nil
	return err
}

func (f *File) forgetLost() {
	var n int64
	for _, l := range f.lost.kept {
		n += int64(len(l.Data))
	}
	f.lost.kept = nil
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	f.store.lost -= n
}

// lostBefore reports a write of before that was lost, once to a write, so that
// a program that fills a full disk stops.
func (h *Handle) lostBefore() error {
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	if h.lost == nil || h.told {
		return nil
	}
	h.told = true
	return h.lost
}

// takeLost reports a write that was lost, once to a flush or fsync.
func (h *Handle) takeLost() error {
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	err := h.lost
	h.lost = nil
	return err
}
