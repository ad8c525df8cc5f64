package faults_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
)

func TestWithoutExtensions(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Without: []string{"statvfs@openssh.com"}}})
	s := dial(t, r)
	if v := s.read(); bytes.Contains(v, []byte("\x13statvfs@")) || !bytes.Contains(v, []byte("fstatvfs@")) {
		t.Errorf("version %q", v)
	}
	s.want(8, 200, "statvfs@openssh.com", "/")
}

func TestFailingRequestsAreNotCarriedOut(t *testing.T) {
	o := public
	o.Dir = t.TempDir()
	r := start(t, faults.Server{Sandbox: o, SFTP: faults.SFTP{Fail: []faults.Failing{
		{Match: faults.Match{Op: "MKDIR", Path: "b*", Skip: 1, Times: 2}},
		{Match: faults.Match{Op: "WRITE", Path: "f"}, Code: 3, Text: "no"},
	}}})
	s := dialVersion(t, r)
	s.want(0, 14, "/a", 0)
	s.want(0, 14, "/b1", 0)
	s.want(4, 14, "/b2", 0)
	s.want(4, 14, "/b3", 0)
	s.want(0, 14, "/b4", 0)
	s.want(3, 6, s.handle("/f"), uint64(0), "data")
	s.want(0, 6, s.handle("/g"), uint64(0), "data")
	if _, err := os.Stat(filepath.Join(o.Dir, "b2")); err == nil {
		t.Error("b2 was made")
	}
	if n := r.Stats().Faults["fail MKDIR"]; n != 2 {
		t.Errorf("%d failures are counted", n)
	}
	r.SetSFTP(faults.SFTP{})
	s.want(0, 14, "/b2", 0)
}

func TestFullDisk(t *testing.T) {
	for _, quota := range []bool{false, true} {
		r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Full: &faults.Full{After: 10, Quota: quota}}})
		s := dialVersion(t, r)
		h := s.handle("/f")
		s.want(0, 6, h, uint64(0), "0123456789")
		s.want(4, 6, h, uint64(10), "x")
		p := s.ask(200, "statvfs@openssh.com", "/")
		if free := binary.BigEndian.Uint64(p[5+4*8:]); (free == 0) == quota {
			t.Errorf("quota %v: %d blocks are free", quota, free)
		}
	}
}

func TestReadOnly(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{ReadOnly: true}})
	s := dialVersion(t, r)
	s.want(4, 14, "/d", 0)
	s.want(4, 3, "/f", 10, 0)
	if p := s.ask(17, "/"); p[0] != 105 {
		t.Errorf("stat: %q", p)
	}
	if p := s.ask(200, "statvfs@openssh.com", "/"); p[5+9*8+7]&1 == 0 {
		t.Error("statvfs does not tell")
	}
}

func TestStallAndSwap(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{
		Stall: []faults.Match{{Op: "STAT", Times: 1}},
	}})
	s := dialVersion(t, r)
	s.send(17, 1, "/")
	s.send(17, 2, "/")
	if p := s.read(); p[4] != 2 {
		t.Errorf("answer to %d", p[4])
	}
	if st := r.Stats(); st.InFlight != 1 {
		t.Errorf("%d in flight", st.InFlight)
	}
}

// Requests sent together are one wait, requests that wait for each other are
// one each.
func TestWaits(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Hold: 50 * time.Millisecond}})
	s, other := dialVersion(t, r), dialVersion(t, r)
	r.ResetStats()
	for id := range uint32(3) {
		s.send(17, id, "/")
	}
	other.send(7, 9, "/")
	for range 3 {
		s.read()
	}
	other.read()
	s.ask(17, "/")
	s.ask(17, "/")
	st := r.Stats()
	if st.Waits != 3 || st.RoundTrips != 3 || st.MaxInFlight != 4 || st.Requests["STAT"] != 5 || st.Total() != 6 {
		t.Errorf("%+v", st)
	}
	if st.InFlight != 0 || st.Bytes != 6*14 {
		t.Errorf("%+v", st)
	}
}

// A session that ends takes its unanswered requests out of the count.
func TestInFlightAfterTheEnd(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Stall: []faults.Match{{Op: "STAT"}}}})
	s := dialVersion(t, r)
	s.send(17, 1, "/")
	s.ask(7, "/")
	r.Drop()
	for end := time.Now().Add(patience); r.Stats().InFlight != 0; {
		if time.Now().After(end) {
			t.Fatalf("%+v", r.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCloseAmidAPacket(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Close: 10}})
	s := dial(t, r)
	if p, err := s.tryRead(); err == nil {
		t.Errorf("read %q", p)
	}
}

func TestDrip(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, SFTP: faults.SFTP{Drip: time.Microsecond}})
	s := dialVersion(t, r)
	s.ask(17, "/")
}

// The same seed tells the same lies.
func TestHostileIsRepeatable(t *testing.T) {
	run := func(seed uint64) (answers [][]byte) {
		lies := []faults.Lie{faults.OddStatus, faults.Truncated, faults.SizeMax, faults.NameDotDot, faults.Twice}
		o := public
		o.Dir = t.TempDir()
		if err := os.Chtimes(o.Dir, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		r := start(t, faults.Server{Sandbox: o, SFTP: faults.SFTP{
			Hostile: &faults.Hostile{Seed: seed, Rate: 0.5, Lies: lies},
		}})
		s := dialVersion(t, r)
		for id := range uint32(50) {
			s.send(17, id, "/")
			answers = append(answers, s.read())
		}
		return answers
	}
	first, again, other := run(1), run(1), run(2)
	if !bytes.Equal(bytes.Join(first, nil), bytes.Join(again, nil)) {
		t.Error("the same seed has told other lies")
	}
	if bytes.Equal(bytes.Join(first, nil), bytes.Join(other, nil)) {
		t.Error("another seed has told the same lies")
	}
}

// truths are a request of each kind of answer.
var truths = map[string]func(s *session){
	"DATA":    func(s *session) { s.send(5, 7, "\x00\x00\x00\x00", uint64(0), 100) },
	"HANDLE":  func(s *session) { s.send(11, 7, "/") },
	"STATUS":  func(s *session) { s.send(13, 7, "/no") },
	"ATTRS":   func(s *session) { s.send(7, 7, "/f") },
	"NAME":    func(s *session) { s.send(12, 7, "\x00\x00\x00\x01") },
	"LINK":    func(s *session) { s.send(19, 7, "/l") },
	"STATVFS": func(s *session) { s.send(200, 7, "statvfs@openssh.com", "/") },
}

// Every lie about every kind of answer is told, is none of the truth, and
// leaves a server that can be closed.
func TestEveryLie(t *testing.T) {
	o := public
	o.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Dir, "f"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(o.Dir, "l")); err != nil {
		t.Fatal(err)
	}
	silent := map[faults.Lie]bool{
		faults.NoAnswer: true, faults.Drips: true, faults.HalfThenWait: true, faults.HalfThenClose: true,
		faults.HalfThenDrop: true, faults.Announced4GiB: true, faults.Announced1MiB: true, faults.Garbage: true,
		faults.Twice: true, // the first of both is the truth
	}
	r := start(t, faults.Server{Sandbox: o})
	for kind, ask := range truths {
		truth := answer(t, r, "", ask)
		for _, lie := range faults.Lies() {
			r.ResetStats()
			if silent[lie] {
				answerNone(t, r, lie, ask)
			} else if got := answer(t, r, lie, ask); bytes.Equal(got, truth) && !(lie == faults.AttrsNone && kind == "LINK") {
				t.Errorf("%s: %s: the truth was told: %q", kind, lie, got)
			}
			if n := r.Stats().Faults[string(lie)]; n != 1 {
				t.Errorf("%s: %s: told %d times", kind, lie, n)
			}
		}
	}
	for _, lie := range faults.VersionLies() {
		r.SetSFTP(faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Op: "INIT"}, Lie: lie}}})
		if v := dial(t, r).read(); len(v) == 0 || v[0] != 2 {
			t.Errorf("%s: %q", lie, v)
		}
	}
}

// prepare opens a file as handle 0 and a directory as handle 1, and has the
// next answer be a lie.
func prepare(t *testing.T, r *faults.Running, lie faults.Lie) *session {
	t.Helper()
	r.SetSFTP(faults.SFTP{})
	s := dialVersion(t, r)
	s.handle("/f")
	s.ask(11, "/")
	if lie != "" {
		r.SetSFTP(faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Times: 1}, Lie: lie}}})
	}
	return s
}

func answer(t *testing.T, r *faults.Running, lie faults.Lie, ask func(*session)) []byte {
	t.Helper()
	s := prepare(t, r, lie)
	ask(s)
	return s.read()
}

// answerNone asks for a lie that is no packet to wait for; the fault is counted
// before it is told.
func answerNone(t *testing.T, r *faults.Running, lie faults.Lie, ask func(*session)) {
	t.Helper()
	s := prepare(t, r, lie)
	ask(s)
	for end := time.Now().Add(patience); r.Stats().Faults[string(lie)] == 0; {
		if time.Now().After(end) {
			t.Fatalf("%s is not told", lie)
		}
		time.Sleep(time.Millisecond)
	}
	r.Drop()
}
