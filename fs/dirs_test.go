package fs

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// However little fits into an answer, a directory is told whole: each name
// once, with its node, and the dots without.
func TestReadDirPlusInSmallPieces(t *testing.T) {
	server := fake.NewServer()
	for i := range 300 {
		server.WriteFile(fmt.Sprintf("/home/user/file%03d", i), "x")
	}
	remote := server.Connect()
	t.Cleanup(remote.Close)
	tree, err := vfs.New(t.Context(), vfs.Options{Remote: remote, Root: "/home/user", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close(context.Background()) })
	b := testBridge(t, new(bytes.Buffer))
	b.tree = tree

	for _, size := range []int{300, 1000, 4096, 1 << 20} {
		var opened fuse.OpenOut
		in := &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: uint64(vfs.RootID)}}
		if st := b.OpenDir(nil, in, &opened); st != fuse.OK {
			t.Fatal(st)
		}
		seen := map[string]uint64{}
		var at uint64
		for {
			list := fuse.NewDirEntryList(make([]byte, size), at)
			if st := b.ReadDirPlus(nil, &fuse.ReadIn{Fh: opened.Fh, Offset: at}, list); st != fuse.OK {
				t.Fatalf("%d bytes, from %d: %v", size, at, st)
			}
			names, entries, err := fuse.ParseDirLookupEntries(list.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if len(names) == 0 {
				break
			}
			for i, e := range names {
				if _, twice := seen[e.Name]; twice {
					t.Errorf("%d bytes: %s twice", size, e.Name)
				}
				seen[e.Name] = entries[i].NodeId
				dot := e.Name == "." || e.Name == ".."
				if dot != (entries[i].NodeId == 0) {
					t.Errorf("%s has node %d", e.Name, entries[i].NodeId)
				}
				if !dot && (entries[i].Attr.Ino != e.Ino || entries[i].Attr.Size != 1 || entries[i].AttrTimeout() == 0) {
					t.Errorf("%s: %+v", e.Name, entries[i])
				}
				at = e.Off
			}
		}
		if len(seen) != 302 {
			t.Errorf("%d bytes: %d names", size, len(seen))
		}
		for _, node := range seen {
			if node != 0 {
				b.Forget(node, 1)
			}
		}
		b.ReleaseDir(&fuse.ReleaseIn{Fh: opened.Fh})
	}
	if st := b.ReadDirPlus(nil, &fuse.ReadIn{Fh: 99}, fuse.NewDirEntryList(make([]byte, 100), 0)); st != fuse.EBADF {
		t.Errorf("a handle that is not there: %v", st)
	}
}

func TestLongNamesAreRefused(t *testing.T) {
	b := testBridge(t, new(bytes.Buffer))
	name := string(bytes.Repeat([]byte("n"), 256))
	for what, st := range map[string]fuse.Status{
		"lookup": b.Lookup(nil, &fuse.InHeader{}, name, new(fuse.EntryOut)),
		"create": b.Create(nil, &fuse.CreateIn{}, name, new(fuse.CreateOut)),
		"mkdir":  b.Mkdir(nil, &fuse.MkdirIn{}, name, new(fuse.EntryOut)),
		"unlink": b.Unlink(nil, &fuse.InHeader{}, name),
		"rename": b.Rename(nil, &fuse.RenameIn{}, "a", name),
		"link":   b.Link(nil, &fuse.LinkIn{}, name, new(fuse.EntryOut)),
	} {
		if want := Errno(checkName(name)); st != fuse.Status(want) {
			t.Errorf("%s: %v, want %v", what, st, want)
		}
	}
}
