package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// page is the unit of a big file's content: each page begins with its own
// offset, so that one in the wrong place shows.
const page = 4 << 10

// chunk is read and written at once: what cat and cp do.
const chunk = 128 << 10

// fillPage writes the content of page n.
func fillPage(p []byte, n int64) {
	x := uint64(n)*0x9E3779B97F4A7C15 + 1
	for i := 0; i < page; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(p[i:], x)
	}
}

// cycle is a chunk's worth of big file content; what differs from chunk to
// chunk is stamped into its pages. Making content must not be what is measured.
var cycle = sync.OnceValue(func() []byte {
	p := make([]byte, chunk)
	for i := range chunk / page {
		fillPage(p[i*page:], int64(i))
	}
	return p
})

// stamp puts the number of each page into a chunk at off.
func stamp(p []byte, off int64) {
	for i := 0; i < len(p); i += page {
		binary.LittleEndian.PutUint64(p[i:], uint64(off+int64(i)))
	}
}

// writeBig writes a big file's content and has it brought to the disk.
func writeBig(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	p := bytes.Clone(cycle())
	for off := int64(0); off < size && err == nil; off += chunk {
		stamp(p, off)
		_, err = f.Write(p)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// readBig reads a big file from start to end and compares every byte.
func readBig(path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, want := make([]byte, chunk), bytes.Clone(cycle())
	for off := int64(0); off < size; off += chunk {
		if _, err := io.ReadFull(f, got); err != nil {
			return fmt.Errorf("%s at %d of %d: %w", path, off, size, err)
		}
		if err := checkChunk(got, want, off); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if n, err := f.Read(got); n != 0 || err != io.EOF {
		return fmt.Errorf("%s: %d bytes and %v where its end should be", path, n, err)
	}
	return nil
}

// checkChunk compares what was read at off; want is a scratch copy of cycle.
func checkChunk(got, want []byte, off int64) error {
	stamp(want, off)
	if !bytes.Equal(got, want) {
		return fmt.Errorf("wrong bytes between %d and %d", off, off+chunk)
	}
	return nil
}

// readRandomly reads pages at random by several threads, each with its own
// handle.
func readRandomly(path string, size int64, threads, count int) error {
	errs := make([]error, threads)
	var reading sync.WaitGroup
	for t := range threads {
		reading.Go(func() { errs[t] = randomReader(path, size, count, uint64(t)) })
	}
	reading.Wait()
	return errors.Join(errs...)
}

func randomReader(path string, size int64, count int, seed uint64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(seed, 1))
	got, want := make([]byte, page), make([]byte, page)
	for range count {
		n := random.Int64N(size / page)
		if _, err := f.ReadAt(got, n*page); err != nil {
			return err
		}
		copy(want, cycle()[n*page%chunk:])
		stamp(want, n*page)
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: wrong bytes at page %d", path, n)
		}
	}
	return nil
}

// readParts reads all files of a directory, several of them at a time.
func readParts(dir string, readers int) error {
	parts, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	errs := make([]error, readers)
	var reading sync.WaitGroup
	for r := range readers {
		reading.Go(func() {
			for i := r; i < len(parts) && errs[r] == nil; i += readers {
				about, err := parts[i].Info()
				if err == nil {
					err = readBig(filepath.Join(dir, parts[i].Name()), about.Size())
				}
				errs[r] = err
			}
		})
	}
	reading.Wait()
	return errors.Join(errs...)
}

// text is what an editor saves the nth time.
func text(n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("version %d of a text\n", n)), 200)
}

// saves does what editors do: write a temporary file, bring it to the disk,
// put it in the place of the old one, read it again.
func saves(path string, count int) error {
	for n := range count {
		if err := save(path, text(n)); err != nil {
			return err
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text(n)) {
			return fmt.Errorf("save %d reads back wrong: %d bytes, %w", n, len(got), err)
		}
	}
	return nil
}

func save(path string, data []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// saved checks what is on the server after so many saves.
func saved(dir string, count int) error {
	got, err := os.ReadFile(filepath.Join(dir, "text"))
	if err == nil && !bytes.Equal(got, text(count-1)) {
		err = fmt.Errorf("the last save is not on the server")
	}
	return err
}
