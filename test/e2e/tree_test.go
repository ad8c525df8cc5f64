package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// sample writes a tree of files with known, incompressible content: empty
// ones, small ones, ones around the sizes of packets, names that are legal and
// rare, links, modes.
func sample(t *testing.T, dir string, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	write := func(name string, size int, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, noise(r, size), mode); err != nil {
			t.Fatal(err)
		}
	}
	for i, size := range []int{0, 1, 4095, 4096, 4097, 32768, 261120, 261121, 1 << 20, 3<<20 + 17} {
		write(fmt.Sprintf("sizes/%02d-%d", i, size), size, 0o644)
	}
	for i := range 60 {
		write(fmt.Sprintf("many/%d/file %d.txt", i%6, i), 100+r.IntN(5000), 0o640)
	}
	for _, name := range []string{"ümlaut", "new\nline", "back\\slash", "'quote\"", "-dash", "\xff\xfe", ".hidden", "日本語"} {
		write("names/"+name, 10, 0o600)
	}
	write("bin/tool", 2000, 0o755)
	for name, to := range map[string]string{"relative": "sizes/01-1", "dangling": "nowhere", "many/up": "../sizes/00-0"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func noise(r *rand.Rand, size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// compare fails unless two trees have the same names, types, modes, sizes,
// links, seconds of mtime and bytes.
func compare(t *testing.T, want, got string) {
	t.Helper()
	a, b := inventory(t, want), inventory(t, got)
	for name, line := range a {
		if b[name] != line {
			t.Errorf("%q: %s there, %s here", name, orMissing(b[name]), line)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			t.Errorf("%q: too much", name)
		}
	}
}

func orMissing(s string) string {
	if s == "" {
		return "missing"
	}
	return s
}

// inventory describes every file of a tree.
func inventory(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil || name == "." {
			return err
		}
		line := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + to
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %d %x", info.ModTime().Unix(), len(data), sha256.Sum256(data))
		}
		all[name] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// same fails unless a file has exactly these bytes.
func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: %d bytes (sha256 %x), want %d (%x)", path, len(got), sha256.Sum256(got), len(want), sha256.Sum256(want))
	}
}
