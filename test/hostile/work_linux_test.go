package hostile

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// names are what the files are called in the sandbox, and what they hold.
var names = map[string][]byte{"small": content[:1000], "large": content}

// work does everything that there is to do, once. What fails may fail; what a
// file is said to hold, without an error, must be right where exact is set.
func (w *world) work(round int, exact bool) {
	w.Helper()
	w.ends("list", func(ctx context.Context) error { return w.list(ctx, vfs.RootID) })
	for name, want := range names {
		w.ends("read "+name, func(ctx context.Context) error {
			got, err := w.read(ctx, name)
			if exact && err == nil && !bytes.Equal(got, want) {
				w.Errorf("%s: %d bytes of wrong data, and no error; want %d", name, len(got), len(want))
			}
			return err
		})
	}
	for _, name := range []string{"link", "middle", "out"} {
		w.ends("readlink "+name, func(ctx context.Context) error {
			e, err := w.lookup(ctx, vfs.RootID, name)
			if err != nil {
				return err
			}
			defer w.tree.Forget(e.Node, 1)
			text, err := w.tree.Readlink(ctx, e.Node)
			if err == nil && text[0] == '/' {
				w.Errorf("%s shows %q", name, text)
			}
			return err
		})
	}
	w.ends("statfs", func(ctx context.Context) error { _, err := w.tree.StatFS(ctx, vfs.RootID); return err })
	w.changes(round)
}

func (w *world) changes(round int) {
	w.Helper()
	t, name := w.tree, func(s string) string { return fmt.Sprint(s, round) }
	w.ends("save", func(ctx context.Context) error {
		e, h, err := t.Create(ctx, vfs.RootID, name("new~"), conn.OpenWrite, 0o644)
		if err != nil {
			return err
		}
		defer t.Forget(e.Node, 1)
		defer h.Release()
		if _, err := h.Write(ctx, content, 0); err != nil {
			return err
		}
		if err := h.Flush(ctx); err != nil {
			return err
		}
		return t.Rename(ctx, vfs.RootID, name("new~"), vfs.RootID, name("new"), true)
	})
	w.ends("mkdir", func(ctx context.Context) error {
		e, err := t.Mkdir(ctx, vfs.RootID, name("dir"), 0o755)
		if err == nil {
			t.Forget(e.Node, 1)
		}
		return err
	})
	w.ends("symlink", func(ctx context.Context) error {
		e, err := t.Symlink(ctx, vfs.RootID, name("sym"), "d/../../x")
		if err == nil {
			t.Forget(e.Node, 1)
		}
		return err
	})
	w.ends("setattr", func(ctx context.Context) error {
		e, err := w.lookup(ctx, vfs.RootID, "d")
		if err != nil {
			return err
		}
		defer t.Forget(e.Node, 1)
		_, err = t.SetAttr(ctx, e.Node, nil, vfs.SetAttr{Valid: vfs.SetMtime | vfs.SetAtime, Mtime: time.Unix(1, 0), Atime: time.Unix(1, 0)})
		return err
	})
	w.ends("rmdir", func(ctx context.Context) error { return t.Rmdir(ctx, vfs.RootID, name("dir")) })
	w.ends("unlink", func(ctx context.Context) error { return t.Unlink(ctx, vfs.RootID, name("new")) })
	w.ends("unlink", func(ctx context.Context) error { return t.Unlink(ctx, vfs.RootID, name("sym")) })
}

func (w *world) lookup(ctx context.Context, dir vfs.NodeID, name string) (vfs.Entry, error) {
	e, err := w.tree.Lookup(ctx, dir, name)
	if err == nil && e.Node == 0 {
		err = conn.NotExist
	}
	return e, err
}

func (w *world) list(ctx context.Context, id vfs.NodeID) error {
	d, err := w.tree.OpenDir(ctx, id)
	if err != nil {
		return err
	}
	defer d.Release()
	var nodes []vfs.NodeID
	cookie, told := uint64(0), 0
	emit := func(e *vfs.DirEntry) bool {
		cookie, told = e.Cookie, told+1
		if e.Name == "" || len(e.Name) > 255 || bytes.ContainsAny([]byte(e.Name), "/\x00") {
			w.Errorf("listed: %q", e.Name)
		}
		if e.Entry.Node != 0 {
			nodes = append(nodes, e.Entry.Node)
		}
		return true
	}
	for before := -1; err == nil && told > before; {
		before = told
		err = d.ReadPlus(ctx, cookie, emit)
	}
	for _, n := range nodes {
		w.tree.Forget(n, 1)
	}
	return err
}

func (w *world) read(ctx context.Context, name string) ([]byte, error) {
	e, err := w.lookup(ctx, vfs.RootID, name)
	if err != nil {
		return nil, err
	}
	defer w.tree.Forget(e.Node, 1)
	h, err := w.tree.Open(ctx, e.Node, conn.OpenRead)
	if err != nil {
		return nil, err
	}
	defer h.Release()
	var all []byte
	buf := make([]byte, 128<<10)
	for len(all) < 4<<20 {
		p, err := h.Read(ctx, buf, int64(len(all)))
		if err != nil {
			return nil, err
		}
		if len(p) == 0 {
			break
		}
		all = append(all, p...)
	}
	return all, nil
}
