package content

import (
	"context"
	"slices"
)

// room is the budget of dirty bytes, guarded by Store.mu. A file may take as
// much as keeps it below four times what is left over, so that a file that
// floods the buffer leaves room for one that comes new (a dynamic threshold,
// as switches share their buffers): one writer gets 4/5 of the buffer, two get
// 4/9 each.
type room struct {
	size, used, inFlight int64
	files                map[*File]struct{} // with dirty bytes
	waiting              []*taker           // in the order of coming
}

// taker is a writer that waits for room.
type taker struct {
	file    *File
	n       int64
	granted chan struct{}
}

// short reports whether there are not n bytes left for anybody.
func (r *room) short(n int64) bool { return r.used+n > r.size }

// starved reports whether t waits for room in all, having none: nobody may
// overtake it.
func (r *room) starved(t *taker) bool { return t.file.dirty == 0 && r.short(t.n) }

// fits reports whether f may take n more bytes. Who has none may have all that
// is left: no answer of its own would ever make room.
func (r *room) fits(f *File, n int64) bool {
	return !r.short(n) && (f.dirty == 0 || f.dirty+n <= 4*(r.size-r.used-n))
}

func (r *room) grant(f *File, n int64) {
	r.used += n
	f.dirty += n
	r.files[f] = struct{}{}
}

// takeRoom waits until f may have n more dirty bytes; n is at most a quarter
// of the buffer.
func (s *Store) takeRoom(ctx context.Context, f *File, n int64) error {
	s.mu.Lock()
	behind := func(t *taker) bool { return t.file == f || s.room.starved(t) }
	if !slices.ContainsFunc(s.room.waiting, behind) && s.room.fits(f, n) {
		s.room.grant(f, n)
		s.mu.Unlock()
		return nil
	}
	t := &taker{file: f, n: n, granted: make(chan struct{})}
	s.room.waiting = append(s.room.waiting, t)
	s.mu.Unlock()
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.room.waiting, t); i >= 0 {
		s.room.waiting = slices.Delete(s.room.waiting, i, i+1)
	} else {
		s.room.give(f, n) // granted at the same moment
	}
	return context.Cause(ctx)
}

// giveRoom gives n dirty bytes of f back.
func (s *Store) giveRoom(f *File, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.give(f, n)
}

// sending counts bytes of f that go out (or, with n < 0, that were answered,
// and leave the buffer).
func (s *Store) sending(f *File, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.inFlight += n
	if n < 0 {
		s.room.give(f, -n)
	}
}

func (r *room) give(f *File, n int64) {
	r.used -= n
	f.dirty -= n
	if f.dirty == 0 {
		delete(r.files, f)
	}
	full := false
	r.waiting = slices.DeleteFunc(r.waiting, func(t *taker) bool {
		full = full || r.starved(t)
		if full || !r.fits(t.file, t.n) {
			return false
		}
		r.grant(t.file, t.n)
		close(t.granted)
		return true
	})
}
