package sandboxd

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// requests is a client that has sent what it will and reads no answer.
type requests struct{ io.Reader }

func (requests) Write(p []byte) (int, error) { return len(p), nil }
func (requests) Close() error                { return nil }

// FuzzRequests serves whatever a client may send. Nothing outside the directory
// is touched, and the session ends.
func FuzzRequests(f *testing.F) {
	packet := func(kind byte, fields packet) []byte {
		return append(append(packet{}.u32(uint32(5+len(fields))), kind, 0, 0, 0, 1), fields...)
	}
	var all []byte
	for _, p := range [][]byte{
		{0, 0, 0, 5, fxpInit, 0, 0, 0, 3},
		packet(fxpOpen, newFields().str("/f").u32(openRead|openWrite|openCreate).attrs(attrs{flags: attrMode, mode: 0o644})),
		packet(fxpWrite, newFields().str("\x00\x00\x00\x00").u64(3).str("data")),
		packet(fxpFsetstat, newFields().str("\x00\x00\x00\x00").attrs(attrs{flags: attrSize | attrTimes, size: 2})),
		packet(fxpRead, newFields().str("\x00\x00\x00\x00").u64(0).u32(100)),
		packet(fxpSymlink, newFields().str("../out").str("/l")),
		packet(fxpSetstat, newFields().str("/l").attrs(attrs{flags: attrMode})),
		packet(fxpMkdir, newFields().str("/d").attrs(attrs{})),
		packet(fxpRename, newFields().str("/f").str("/d/../g")),
		packet(fxpOpendir, newFields().str("/")),
		packet(fxpReaddir, newFields().str("\x00\x00\x00\x01")),
		packet(fxpRealpath, newFields().str("l/x")),
		packet(fxpExtended, newFields().str("copy-data").str("\x00\x00\x00\x00").u64(0).u64(9).str("\x00\x00\x00\x00").u64(9)),
		packet(fxpExtended, newFields().str("users-groups-by-id@openssh.com").str("\x00\x00\x00\x00").str("")),
		packet(fxpExtended, newFields().str("statvfs@openssh.com").str("/")),
		packet(fxpClose, newFields().str("\x00\x00\x00\x00")),
	} {
		f.Add(p)
		all = append(all, p...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		o := Options{Home: "/", MaxHandles: 5, Extensions: allExtensions(), Log: slog.New(slog.DiscardHandler)}
		s := newSession(&Server{root: root, o: o}, requests{bytes.NewReader(data)})
		_ = s.serve()
		s.close()
		if names, err := os.ReadDir(outer); err != nil || len(names) != 1 {
			t.Fatalf("outside are %v, %v", names, err)
		}
	})
}

func newFields() packet { return packet{} }
