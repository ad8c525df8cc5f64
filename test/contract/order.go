package contract

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/sbxmount/sbxmount/conn"
)

// A File can be used before its opening is answered.
func testEarlyUse(s *suite) {
	f, opened := s.Remote.Open(s.path("file"), conn.OpenRead|conn.OpenWrite|conn.OpenCreate, 0o644)
	big := pattern(700_000, 4)
	first := f.WriteAt(big, 0)
	second := f.WriteAt([]byte("end"), int64(len(big)))
	synced := f.Sync()
	stat := f.Stat()
	f.Close()
	want(s, "the size of the new file", ok(s, opened).Size, 0)
	ok(s, first)
	ok(s, second)
	ok(s, synced)
	want(s, "the size", ok(s, stat).Size, int64(len(big)+3))

	r, _ := s.Remote.Open(s.path("file"), conn.OpenRead, 0)
	buf := make([]byte, len(big))
	read := r.ReadAt(buf, 0)
	r.Close()
	if ok(s, read) != len(buf) || !bytes.Equal(buf, big) {
		s.Error("other bytes came back")
	}
}

// When the opening fails, so does everything that was started on the File.
func testEarlyFailure(s *suite) {
	f, opened := s.Remote.Open(s.path("missing"), conn.OpenRead|conn.OpenWrite, 0)
	read := f.ReadAt(make([]byte, 10), 0)
	write := f.WriteAt([]byte("x"), 0)
	stat, synced, set := f.Stat(), f.Sync(), f.SetAttr(mode(0o600))
	f.Close()
	fails(s, opened, conn.NotExist)
	fails(s, read, conn.NotExist)
	fails(s, write, conn.NotExist)
	fails(s, stat, conn.NotExist)
	fails(s, synced, conn.NotExist)
	fails(s, set, conn.NotExist)
	if s.Remote.Info().Copies {
		g := s.create("other", []byte("x"))
		defer g.Close()
		bad, _ := s.Remote.Open(s.path("missing"), conn.OpenRead, 0)
		defer bad.Close()
		fails(s, s.Remote.Copy(bad, 0, g, 0, 1), conn.NotExist, conn.BadHandle)
	}
}

// SetAttr, Stat, Sync and Close come behind all writes before them.
func testOrderInFile(s *suite) {
	f := s.create("file", nil)
	var stats []*conn.Call[conn.Attr]
	var writes []*conn.Call[struct{}]
	const piece = 100_000
	for i := range 20 {
		writes = append(writes, f.WriteAt(pattern(piece, byte(i)), int64(i)*piece))
		stats = append(stats, f.Stat())
	}
	cut := f.SetAttr(size(5))
	last := f.Stat()
	f.Close()
	for i, c := range stats {
		// What was started later may have come as well, but nothing is missing.
		if got := ok(s, c).Size; got < int64(i+1)*piece {
			s.Errorf("after write %d the size is %d", i+1, got)
		}
		ok(s, writes[i])
	}
	ok(s, cut)
	want(s, "the size behind all", ok(s, last).Size, 5)
	want(s, "the size of the name", s.stat("file").Size, 5)
}

// Operations on names are carried out in the order in which they were started.
func testOrderOfNames(s *suite) {
	const dirs = 30
	var calls []*conn.Call[conn.Attr]
	dir := s.Dir
	for i := range dirs {
		dir += fmt.Sprintf("/%d", i)
		calls = append(calls, s.Remote.Mkdir(dir, 0o755))
	}
	f, opened := s.Remote.Open(dir+"/file", conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, 0o600)
	wrote := f.WriteAt([]byte("deep"), 0)
	f.Close()
	there := s.Remote.Lstat(dir + "/file")
	moved := s.Remote.Rename(dir+"/file", s.path("file"), false)
	listed := s.Remote.List(dir, 0, conn.Foreground, nil)
	gone := s.Remote.Rmdir(dir)
	missing := s.Remote.Lstat(dir)
	for _, c := range calls {
		ok(s, c)
	}
	ok(s, opened)
	ok(s, wrote)
	want(s, "the file before its move", ok(s, there).Mode, conn.TypeRegular|0o600)
	ok(s, moved)
	want(s, "the number of names after the move", len(ok(s, listed).Entries), 0)
	ok(s, gone)
	fails(s, missing, conn.NotExist)
	want(s, "the content", s.get("file"), "deep")
}

// A rename never overtakes the small writes of the file that it publishes.
func testRenamePublishes(s *suite) {
	for i := range 50 {
		content := fmt.Sprintf("version %d", i)
		f, _ := s.Remote.Open(s.path("temp"), conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, 0o644)
		wrote := f.WriteAt([]byte(content), 0)
		f.Close()
		renamed := s.Remote.Rename(s.path("temp"), s.path("file"), true)
		ok(s, renamed)
		want(s, "the published content", s.get("file"), content)
		ok(s, wrote)
	}
}

// Goroutines do not get each other's answers.
func testManyAtOnce(s *suite) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if err := s.oneOfMany(i); err != nil {
				s.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

func (s *suite) oneOfMany(i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for round := range 10 {
		path := s.path(fmt.Sprintf("%d-%d", i, round))
		content := pattern(1000*(i+1), byte(round))
		f, opened := s.Remote.Open(path, conn.OpenRead|conn.OpenWrite|conn.OpenCreate, 0o644)
		if _, err := opened.Wait(ctx); err != nil {
			return err
		}
		if _, err := f.WriteAt(content, 0).Wait(ctx); err != nil {
			return err
		}
		buf := make([]byte, len(content))
		if _, err := f.ReadAt(buf, 0).Wait(ctx); err != nil || !bytes.Equal(buf, content) {
			return fmt.Errorf("read %s: other bytes, %w", path, err)
		}
		a, err := s.Remote.Lstat(path).Wait(ctx)
		if err != nil || a.Size != int64(len(content)) {
			return fmt.Errorf("lstat %s: %d bytes, %w", path, a.Size, err)
		}
		f.Close()
		if _, err := s.Remote.Unlink(path).Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
