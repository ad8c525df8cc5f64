package sftp

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

func FuzzAttr(f *testing.F) {
	f.Add(appendAttr(nil, Attr{Valid: AttrSize | AttrOwner | AttrMode | AttrTimes, Size: 1, Mode: 0o100644}))
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &decoder{b: b}
		a := d.attr()
		if d.end() != nil {
			return
		}
		again := &decoder{b: appendAttr(nil, a)}
		if got := again.attr(); again.end() != nil || got != a {
			t.Errorf("%+v became %+v", a, got)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add(names(1, "a", ".", "")[9:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &decoder{b: b}
		entries, _ := d.names()
		if d.err != nil {
			return
		}
		for _, e := range entries {
			if !usable([]byte(e.Name)) || isDot([]byte(e.Name)) {
				t.Errorf("%q is let through", e.Name)
			}
		}
	})
}

func FuzzLongname(f *testing.F) {
	f.Add([]byte("-rw-r--r--    1 user     user          0 Jan  1  1970 name"))
	f.Add([]byte("drwxr-xr-x+ 4294967295 a"))
	f.Add([]byte("---------- "))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := nlink(b); n > 0 && len(b) < 12 {
			t.Errorf("%d out of %q", n, b)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add(appendString(appendString(appendUint32(nil, 3), "limits@openssh.com"), "1"))
	f.Add([]byte{0, 0, 0, 3, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decodeVersion(b) })
}

// FuzzServer plays a server whose bytes are anything: the session ends with
// every request answered, whatever they are.
func FuzzServer(f *testing.F) {
	hello := wire(typeVersion, appendUint32(nil, 3))
	f.Add(append(bytes.Clone(hello), data(1, []byte("some"))...))
	f.Add(append(bytes.Clone(hello), status(2, 4)...))
	f.Add(append(bytes.Clone(hello), reply(typeHandle, 3, appendString(nil, "h"))...))
	f.Add(append(append(bytes.Clone(hello), reply(typeHandle, 3, appendString(nil, "h"))...), names(4, "a")...))
	f.Add(append(bytes.Clone(hello), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, stream []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		c := New(ours)
		left := make(chan struct{}, 4)
		buf := make([]byte, 64)
		c.Read("h", buf, 0, func(n int, err error) {
			if n < 0 || n > len(buf) || n < len(buf) && err == nil {
				t.Errorf("read %d, %v", n, err)
			}
			left <- struct{}{}
		})
		c.Lstat("/a", func(Attr, error) { left <- struct{}{} })
		c.List("/d", 0, nil, func(Listing, error) { left <- struct{}{} })
		c.StatVFS("/d", func(StatVFS, error) { left <- struct{}{} })
		_, _ = theirs.Write(stream)
		_ = theirs.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for range cap(left) {
			select {
			case <-left:
			case <-ctx.Done():
				t.Fatal("a request is not answered")
			}
		}
		_ = c.Close()
	})
}
