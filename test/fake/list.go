package fake

import (
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// readdirs are in flight at a time.
const readdirs = 16

// List implements conn.Remote. It costs two round trips, as OPENDIR and
// READDIR do: the second request is made when the first is answered; and one
// more for each 16 Pages.
func (r *Remote) List(p string, max int, class conn.Class, some func(conn.Listing)) *conn.Call[conn.Listing] {
	l := &list{r: r, path: p, max: max, class: class, some: some, out: conn.NewCall[conn.Listing](nil)}
	opened := start(r, Request{Op: "opendir", Path: p, Class: class}, func() (*node, error) {
		n, err := r.server.walk(p)
		switch {
		case err != nil:
			return nil, err
		case !n.mode.IsDir():
			return nil, conn.NotDir
		case !r.server.may(n, 4):
			return nil, conn.Permission
		}
		return n, nil
	})
	opened.Then(func(n *node, err error) {
		if err != nil {
			l.out.Finish(conn.Listing{}, err)
			return
		}
		l.dir = n
		l.readdir()
		for range readdirs - 1 {
			if r.Page > 0 && some != nil {
				l.readdir()
			}
		}
	})
	return l.out
}

// list is a listing under way. The answers come one at a time.
type list struct {
	r     *Remote
	path  string
	max   int
	class conn.Class
	some  func(conn.Listing)
	out   *conn.Call[conn.Listing]
	dir   *node
	names []string // that the handle has still to tell, once it was read first
	begun bool
	told  int
	over  bool
}

// readdir asks for the next names.
func (l *list) readdir() {
	asked := time.Now()
	start(l.r, Request{Op: "readdir", Path: l.path, Class: l.class}, l.next).Then(func(page conn.Listing, err error) {
		switch {
		case l.over:
			return
		case err != nil || page.Complete || l.max > 0 && l.told == l.max:
			l.over = true
			l.out.Finish(page, err)
			return
		}
		page.Asked = asked
		l.some(page)
		l.readdir()
	})
}

// next is what a READDIR tells. What is not passed on piece by piece is told at
// once.
func (l *list) next() (page conn.Listing, err error) {
	if !l.begun {
		l.begun, l.names = true, append(l.names, l.dir.names...)
	}
	n := len(l.names)
	if l.r.Page > 0 && l.some != nil {
		n = min(n, l.r.Page)
	}
	page.Entries = make([]conn.Entry, 0, n)
	for _, name := range l.names[:n] {
		if l.max > 0 && l.told == l.max {
			return page, nil
		}
		child := l.dir.children[name]
		if child == nil {
			continue // gone since
		}
		a := child.attr()
		a.Nlink = child.nlink
		page.Entries = append(page.Entries, conn.Entry{Name: name, Attr: a})
		l.told++
	}
	l.names = l.names[n:]
	page.Complete = n == 0 || l.r.Page == 0 || l.some == nil
	return page, nil
}
