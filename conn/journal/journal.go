package journal

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The ends of files' names.
const (
	suffix     = ".journal"
	keptSuffix = ".kept" // for Extract alone, never replayed
)

// Bounds of a journal's file.
const (
	// compactFrom is the size from which on a file is written anew when most of
	// it is answered: rarely enough to cost nothing. A file that is bounded to
	// less than twice as much is so from half its bound on.
	compactFrom = 64 << 20
	// defaultMaxSize is a file's bound: many times what is in flight.
	defaultMaxSize = 1 << 30
	// maxKept bounds what is kept of changes that failed.
	maxKept = 256 << 20
	// syncEvery is what a power cut may cost, in time.
	syncEvery = time.Second
)

// Journal is one mount's. All methods may be called by several goroutines at
// once.
type Journal struct {
	of   []byte
	path string
	max  int64
	log  *slog.Logger
	stop chan struct{}
	work sync.WaitGroup

	closing sync.Once
	tight   atomic.Bool // there is no room

	mu       sync.Mutex // guards all below
	file     *os.File   // locked; nil once it failed or was closed
	size     int64
	head     int64 // of it, the header's
	unsynced bool
	seq      uint64
	pending  map[uint64]*record
	weight   int64              // bytes that pending takes in a file
	open     map[*file]struct{} // whose paths follow renames
	kept     *os.File           // what failed; nil: nothing yet
	keptSize int64
}

// Options say whose journal it is and where. All but MaxSize and Log are
// required.
type Options struct {
	Dir, Name string
	Of        string // the sandbox's name
	MaxSize   int64  // of the file; 0: 1 GiB
	Log       *slog.Logger
}

// Create makes a journal. A mount has one; a name that another process has is
// refused.
func Create(o Options) (*Journal, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &Journal{
		of: identity(o.Of), path: journalPath(o.Dir, o.Name), max: cmp.Or(o.MaxSize, defaultMaxSize), log: o.Log, stop: make(chan struct{}),
		pending: map[uint64]*record{}, open: map[*file]struct{}{},
	}
	f, err := create(j.path)
	if err != nil {
		return nil, err
	}
	j.file = f
	if err := j.begin(); err != nil {
		f.Close()
		os.Remove(j.path)
		return nil, err
	}
	j.work.Go(j.syncEverySecond)
	return j, nil
}

func journalPath(dir, name string) string { return filepath.Join(dir, name+suffix) }

// identity is what stands in a file for a sandbox's name, which is in effect a
// credential.
func identity(of string) []byte {
	sum := sha256.Sum256([]byte("sbxmount journal of " + of))
	return sum[:]
}

// create makes a file of this user's alone and locks it.
func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// begin writes the header. j.mu is held, or nobody else knows j yet.
func (j *Journal) begin() error {
	b, err := head(j.of)
	if err != nil {
		return err
	}
	j.size, j.head = 0, int64(len(b))
	return j.write(b)
}

// head is what a journal of a sandbox begins with.
func head(of []byte) ([]byte, error) {
	first, err := frame(&record{Op: opOf, Data: of})
	return append([]byte(magic), first...), err
}

// Works reports whether changes reach the disk: not after an error, as of a disk
// that is full. Then nothing should count on the journal.
func (j *Journal) Works() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file != nil
}

// Room reports whether changes that nobody waits for may go on: the journal
// works, and less than half of its bound is taken. The other half is for what is
// waited for. It does not block, also while the disk is slow.
func (j *Journal) Room() bool { return !j.tight.Load() }

// measure takes note of whether there is room. j.mu is held.
func (j *Journal) measure() { j.tight.Store(j.file == nil || j.size >= j.max/2) }

// Size returns the file's, and its bound.
func (j *Journal) Size() (size, most int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.max
}

// Path returns the file's.
func (j *Journal) Path() string { return j.path }

// add takes in a change that is about to be started.
func (j *Journal) add(r record) *record {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	r.Seq = j.seq
	defer j.measure()
	r.weight = j.append(&r)
	j.pending[r.Seq] = &r
	j.weight += r.weight
	return &r
}

// answered takes in that a change was answered. Bytes that failed are kept; of
// other changes programs hear, and nothing is lost with them.
func (j *Journal) answered(r *record, failed error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending[r.Seq] == nil {
		return
	}
	defer j.measure()
	delete(j.pending, r.Seq)
	j.weight -= r.weight
	if failed != nil && len(r.Data) > 0 {
		j.keep(r)
	}
	j.append(&record{Op: opAnswered, Seq: r.Seq})
	switch {
	case j.file == nil:
	case len(j.pending) == 0:
		j.size = j.head
		j.fail(j.file.Truncate(j.head))
	case j.size > min(compactFrom, j.max/2) && j.size > 4*j.weight:
		j.fail(j.compact())
	}
}

var errFull = errors.New("it is full")

// append writes a record behind the others, and returns its bytes in the file.
// j.mu is held.
func (j *Journal) append(r *record) int64 {
	if j.file == nil {
		return 0
	}
	b, err := frame(r)
	n := int64(len(b))
	if err == nil && j.size+n > j.max {
		if err = j.compact(); err == nil && j.size+n > j.max {
			err = errFull
		}
	}
	if err == nil {
		err = j.write(b)
	}
	j.fail(err)
	return n
}

// write writes to the file's end. j.mu is held.
func (j *Journal) write(b []byte) error {
	_, err := j.file.Write(b)
	j.size += int64(len(b))
	j.unsynced = true
	return err
}

// fail gives the file up: records that are missing in it would make a replay of
// the others wrong. j.mu is held; err may be nil.
func (j *Journal) fail(err error) {
	if err == nil || j.file == nil {
		return
	}
	j.log.Error("the journal can't be written; changes are waited for from now on", "err", err)
	_ = os.Remove(j.path)
	j.file.Close()
	j.file = nil
	j.measure()
}

// compact writes the file anew, with what is not answered. j.mu is held.
func (j *Journal) compact() error {
	temp := j.path + ".new"
	_ = os.Remove(temp)
	f, err := create(temp)
	if err != nil {
		return err
	}
	old := j.file
	j.file = f
	err = j.begin()
	for _, seq := range slices.Sorted(maps.Keys(j.pending)) {
		var b []byte
		if err == nil {
			b, err = frame(j.pending[seq])
		}
		if err == nil {
			err = j.write(b)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	old.Close()
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// keep puts a change that failed aside. j.mu is held.
func (j *Journal) keep(r *record) {
	if j.keptSize > maxKept {
		j.log.Warn("a change that failed was not kept: there is too much of it")
		return
	}
	b, err := frame(r)
	if err == nil && j.kept == nil {
		j.kept, err = startKept(j.keptPath(), j.of)
	}
	if err == nil {
		_, err = j.kept.Write(b)
	}
	if err != nil {
		j.log.Warn("a change that failed could not be kept", "err", err)
		return
	}
	j.keptSize += int64(len(b))
}

func (j *Journal) keptPath() string { return keptName(j.path, time.Now()) }

// keptName is a name for what is kept of a journal.
func keptName(path string, now time.Time) string {
	base := path[:len(path)-len(filepath.Ext(path))]
	return base + "-" + now.UTC().Format("20060102T150405.000000000") + keptSuffix
}

func startKept(path string, of []byte) (*os.File, error) {
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	b, err := head(of)
	if err == nil {
		_, err = f.Write(b)
	}
	return f, err
}

// flush brings what was written to the disk.
func (j *Journal) flush() error {
	j.mu.Lock()
	f, unsynced := j.file, j.unsynced
	j.unsynced = false
	j.mu.Unlock()
	if f == nil || !unsynced {
		return nil
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (j *Journal) syncEverySecond() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
			_ = j.flush() // an error shows at the next fsync
		}
	}
}

// Closed is what is left of a Journal.
type Closed struct {
	Waiting string // the file that the next mount replays, or ""
	Kept    string // the file of what failed, for Extract, or ""
}

// Close ends the journal; what it returns is told once. Answers that come later
// count no more.
func (j *Journal) Close() (c Closed) {
	j.closing.Do(func() {
		close(j.stop)
		j.work.Wait()
		c = j.end()
	})
	return c
}

func (j *Journal) end() (c Closed) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		if len(j.pending) > 0 {
			c.Waiting = j.path
			_ = j.file.Sync()
		} else {
			_ = os.Remove(j.path)
		}
		j.file.Close()
		j.file = nil
	}
	if j.kept != nil {
		c.Kept = j.kept.Name()
		_ = j.kept.Sync()
		j.kept.Close()
	}
	clear(j.pending)
	return c
}
