package fs

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestFatalSignals(t *testing.T) {
	const none = "0000000000000000"
	for _, c := range []struct {
		name                                      string
		pending, shared, blocked, ignored, caught string
		want                                      bool
	}{
		{"nothing pending", none, none, none, none, none, false},
		{"SIGKILL to the thread", "0000000000000100", none, none, none, none, true},
		{"SIGKILL to the process", none, "0000000000000100", none, none, none, true},
		{"SIGKILL beside all that is caught", "0000000000000100", none, none, none, "fffffffffffffeff", true},
		{"a Go program's SIGURG, caught", "0000000000400000", none, none, none, "fffffffe7fc1feff", false},
		{"SIGURG, not caught", "0000000000400000", none, none, none, none, false},
		{"SIGINT, caught", none, "0000000000000002", none, none, "0000000000000002", false},
		{"SIGINT, blocked", none, "0000000000000002", "0000000000000002", none, none, false},
		{"SIGHUP, ignored", none, "0000000000000001", none, "0000000000000001", none, false},
		{"SIGQUIT, which dumps core", none, "0000000000000004", none, none, none, true},
		{"SIGTSTP", none, "0000000000080000", none, none, none, false},
		{"SIGCHLD and SIGWINCH", none, "0000000008010000", none, none, none, false},
	} {
		status := "Name:\tx\nSigQ:\t0/1\nSigPnd:\t" + c.pending + "\nShdPnd:\t" + c.shared +
			"\nSigBlk:\t" + c.blocked + "\nSigIgn:\t" + c.ignored + "\nSigCgt:\t" + c.caught + "\n"
		if got := fatal([]byte(status)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for _, odd := range []string{"", "\n", "\nSigPnd:", "\nSigPnd:\tzz\n", "\nSigPnd:\t\nShdPnd:"} {
		if fatal([]byte(odd)) {
			t.Errorf("%q is fatal", odd)
		}
	}
}

func TestKilled(t *testing.T) {
	const fields = ") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 "
	for stat, want := range map[string]bool{
		"12 (cat" + fields + "0\n":          false,
		"12 (cat" + fields + "9\n":          true,
		"12 (cat" + fields + "130\n":        true, // SIGINT, with a core's bit
		"12 (cat" + fields + "256\n":        false,
		"12 (a) b (c) d" + fields + "2\n":   true,
		"12 (cat) S 1 2":                    false,
		"":                                  false,
		") ":                                false,
		"12 (cat" + fields + "nonsense ) 9": false,
	} {
		if got := killed([]byte(stat)); got != want {
			t.Errorf("%q: %v", stat, got)
		}
	}
}

func TestDying(t *testing.T) {
	if dying(uint32(os.Getpid())) || dying(uint32(syscall.Gettid())) || dying(0) {
		t.Error("the living are dying")
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !dying(uint32(cmd.Process.Pid)) {
		t.Error("the dead are not")
	}
}
