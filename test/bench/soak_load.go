package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// serveSoak is the hidden command soak: a mixed load in a directory until its
// standard input ends. It prints a line for each operation, its name and its
// time in microseconds, and one that begins with "!" for each that went wrong.
func serveSoak(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	var loads sync.WaitGroup
	for i, round := range []func(*soaker){(*soaker).edits, (*soaker).files, (*soaker).bulk, (*soaker).reads} {
		s := &soaker{dir: filepath.Join(dir, "load"+strconv.Itoa(i)), r: rand.New(rand.NewPCG(n, uint64(i)))}
		s.do("mkdir", func() error { return os.Mkdir(s.dir, 0o755) })
		loads.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					round(s)
				}
			}
		})
	}
	loads.Wait()
	return nil
}

// soaker is one part of the load, in a directory of its own.
type soaker struct {
	dir string
	r   *rand.Rand
	n   int
}

// do times one operation. That nobody can know whether a name was made is told
// as EIO, as promised; whoever looks then knows.
func (s *soaker) do(what string, f func() error) bool {
	began := time.Now()
	err := f()
	if errors.Is(err, syscall.EIO) && (what == "mkdir" || what == "create") {
		fmt.Printf("? %s\n", what)
		return false
	}
	if err != nil {
		fmt.Printf("! %s: %v\n", what, err)
		return false
	}
	fmt.Printf("%s %d\n", what, time.Since(began).Microseconds())
	return true
}

func (s *soaker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return b
}

// edits are an editor's: a file is replaced, then read.
func (s *soaker) edits() {
	name := filepath.Join(s.dir, "text")
	data := s.bytes(1 + s.r.IntN(30_000))
	if s.put(name+".tmp", data) && s.do("rename", func() error { return os.Rename(name+".tmp", name) }) {
		s.check(name, data)
	}
}

// put writes a file and brings it to the sandbox.
func (s *soaker) put(name string, data []byte) bool {
	var f *os.File
	ok := s.do("create", func() (err error) {
		f, err = os.Create(name)
		return err
	})
	return ok && s.do("write", func() error {
		_, err := f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	})
}

func (s *soaker) check(name string, want []byte) {
	s.do("read", func() error {
		got, err := os.ReadFile(name)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("%s reads back wrong: %d bytes of %d", filepath.Base(name), len(got), len(want))
		}
		return err
	})
}

// files makes a directory with files, lists it, reads them, and takes all away.
func (s *soaker) files() {
	s.n++
	dir := filepath.Join(s.dir, "d"+strconv.Itoa(s.n))
	s.do("mkdir", func() error { return os.Mkdir(dir, 0o755) })
	if _, err := os.Stat(dir); err != nil {
		return // it was not made, and nobody knew
	}
	made := map[string][]byte{}
	for i := range 8 {
		name := filepath.Join(dir, "f"+strconv.Itoa(i))
		if data := s.bytes(s.r.IntN(20_000)); s.put(name, data) {
			made[name] = data
		}
	}
	s.do("list", func() error {
		names, err := os.ReadDir(dir)
		if err == nil && len(names) < len(made) {
			err = fmt.Errorf("%d names of %d", len(names), len(made))
		}
		return err
	})
	for name, data := range made {
		s.check(name, data)
	}
	s.do("remove", func() error { return os.RemoveAll(dir) })
}

// bulk writes some megabytes and reads them.
func (s *soaker) bulk() {
	name := filepath.Join(s.dir, "bulk")
	data := s.bytes(4<<20 + s.r.IntN(8<<20))
	if s.put(name, data) {
		s.check(name, data)
	}
}

// reads reads pages at random offsets of a file that is larger than the cache.
func (s *soaker) reads() {
	f, err := os.Open(filepath.Join(s.dir, "..", "big"))
	if err != nil {
		fmt.Printf("! open: %v\n", err)
		return
	}
	defer f.Close()
	for range 50 {
		n := s.r.Int64N(soakBig / page)
		s.do("page", func() error {
			p := make([]byte, page)
			_, err := f.ReadAt(p, n*page)
			if err == nil && !bytes.Equal(p, bigPage(n)) {
				err = fmt.Errorf("page %d is wrong", n)
			}
			return err
		})
	}
}

// bigPage is page n of what writeBig writes.
func bigPage(n int64) []byte {
	p := bytes.Clone(cycle()[n%(chunk/page)*page:][:page])
	stamp(p, n*page)
	return p
}
