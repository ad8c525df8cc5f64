package content

import "github.com/sbxmount/sbxmount/conn"

// closeIdle retires the server handles that no open Handle needs and on which
// nothing is to be sent: a handle for writing that stays open keeps programs on
// the sandbox from executing the file.
func (f *File) closeIdle() {
	var needed [3]bool
	for _, h := range f.handles {
		needed[reading] = needed[reading] || h.flags&conn.OpenRead != 0
		if h.flags&conn.OpenWrite != 0 {
			needed[h.kind()] = true
		}
	}
	busy := f.sender.busy() || len(f.sender.queue) > 0
	for k, p := range []*remote{f.remotes.reader, f.remotes.writer, f.remotes.appender} {
		if p == nil || needed[k] || busy {
			continue
		}
		*f.remotes.of(kind(k)) = nil
		if p != f.remotes.reader && p != f.remotes.writer && p != f.remotes.appender {
			f.retire(p)
		}
	}
}

func (s *Store) remoteOpened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
}

func (s *Store) remoteClosed(r *remote) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened--
	s.remotes.remove(&r.links)
}

// touch notes that r was used, where it may be closed while it is idle.
func (s *Store) touch(r *remote) {
	if r.flags != conn.OpenRead {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remotes.pushFront(&r.links)
}

// closeIdleRemotes closes the handles for reading that were not used the
// longest, where there are too many. No lock is held.
func (s *Store) closeIdleRemotes() {
	for {
		s.mu.Lock()
		var old *remote
		if s.remotes.len > s.o.MaxRemotes {
			old = s.remotes.back()
			s.remotes.remove(&old.links)
		}
		s.mu.Unlock()
		if old == nil {
			return
		}
		f := old.file
		f.mu.Lock()
		if f.remotes.reader == old && !f.remotes.nameless {
			f.retire(old)
		}
		f.pump()
	}
}

// unopened is what stands for a server handle that can't be opened.
type unopened struct{ err error }

func (u unopened) ReadAt([]byte, int64) *conn.Call[int] { return conn.Answered(0, u.err) }
func (u unopened) WriteAt([]byte, int64) *conn.Call[struct{}] {
	return conn.Answered(struct{}{}, u.err)
}
func (u unopened) SetAttr(conn.SetAttr) *conn.Call[struct{}] { return conn.Answered(struct{}{}, u.err) }
func (u unopened) Stat() *conn.Call[conn.Attr]               { return conn.Answered(conn.Attr{}, u.err) }
func (u unopened) Sync() *conn.Call[struct{}]                { return conn.Answered(struct{}{}, u.err) }
func (u unopened) Moved(string)                              {}
func (u unopened) Close()                                    {}
