package sandboxd_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// BenchmarkRead reads 64 MiB by pkg/sftp's client.
func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, size), 0o644); err != nil {
		b.Fatal(err)
	}
	s := start(b, sandboxd.Options{Dir: dir})
	c, err := sftp.NewClient(dialSSH(b, s), sftp.MaxPacketUnchecked(255<<10))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		f, err := c.Open("/f")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := f.WriteTo(io.Discard); n != size || err != nil {
			b.Fatal(n, err)
		}
		_ = f.Close()
	}
}

// BenchmarkStat asks for attributes, one at a time.
func BenchmarkStat(b *testing.B) {
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755); err != nil {
		b.Fatal(err)
	}
	c, err := sftp.NewClient(dialSSH(b, start(b, sandboxd.Options{Dir: dir})))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Lstat("/a/b/c"); err != nil {
			b.Fatal(err)
		}
	}
}
