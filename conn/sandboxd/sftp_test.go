package sandboxd_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

func TestWriteAndReadBack(t *testing.T) {
	dir := t.TempDir()
	c := dialSFTP(t, start(t, sandboxd.Options{Dir: dir}))
	want := make([]byte, 3<<20+17)
	_, _ = rand.Read(want)
	f, err := c.Create("/big")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "big"))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("on the disk are %d bytes, %v", len(got), err)
	}
	if f, err = c.Open("big"); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err = io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
}
