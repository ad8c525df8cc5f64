package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Extracted is what Extract wrote.
type Extracted struct {
	Files   []string // relative to the directory
	Bytes   int64
	Changes int  // all, those without bytes included
	Torn    bool // the journal's end could not be read
}

// changesName is the list of all changes, in order, for a person to read.
const changesName = "CHANGES.txt"

// Extract writes the bytes that a journal has to files below dir, which is made
// and must be empty, each at its path on the sandbox and at its offsets: a file
// of which only a part was written has holes elsewhere. A list of all changes
// stands in CHANGES.txt. Nothing is written outside of dir.
func Extract(journal, dir string) (Extracted, error) {
	var out Extracted
	f, err := os.Open(journal)
	if err != nil {
		return out, err
	}
	defer f.Close()
	c, err := read(f)
	if err != nil {
		return out, fmt.Errorf("%s: %w", journal, err)
	}
	out.Torn = c.torn
	root, err := emptyDir(dir)
	if err != nil {
		return out, err
	}
	defer root.Close()
	var list bytes.Buffer
	seen := map[string]bool{}
	for i := range c.pending {
		r := &c.pending[i]
		out.Changes++
		fmt.Fprintf(&list, "%q\n", r.String())
		if len(r.Data) == 0 {
			continue
		}
		name := strings.TrimPrefix(path.Clean(string(r.Path)), "/")
		if err := writeAt(root, name, r); err != nil {
			return out, err
		}
		out.Bytes += int64(len(r.Data))
		if !seen[name] {
			seen[name] = true
			out.Files = append(out.Files, name)
		}
	}
	return out, root.WriteFile(changesName, list.Bytes(), 0o600)
}

func emptyDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d, err := root.Open(".")
	if err == nil {
		defer d.Close()
		if _, err = d.Readdirnames(1); err == nil {
			err = fmt.Errorf("%s is not empty", dir)
		} else if errors.Is(err, io.EOF) {
			return root, nil
		}
	}
	root.Close()
	return nil, err
}

func writeAt(root *os.Root, name string, r *record) error {
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(r.Data, r.Off)
	return errors.Join(err, f.Close())
}
