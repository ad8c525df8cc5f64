package process

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func start(t *testing.T, args ...string) *Process {
	t.Helper()
	p, err := Start(exec.Command(args[0], args[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestKillReachesThoseWhoLeftTheGroup(t *testing.T) {
	p := start(t, "sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 999' & wait")
	for deadline := time.Now().Add(patience); len(Named(p.PID(), "sleep")) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the family does not appear")
		}
	}
	family := Descendants(p.PID())
	if leaves := Leaves(p.PID()); len(family) < 3 || len(leaves) != 2 {
		t.Errorf("family %v, of which leaves %v", family, leaves)
	}
	p.Kill()
	for _, pid := range family {
		for deadline := time.Now().Add(patience); UsageOf(pid).MaxRSS > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d still runs", pid)
				break
			}
		}
	}
	p.Kill() // again: nothing happens
}

func TestAwait(t *testing.T) {
	if err := start(t, "sh", "-c", "echo one; exit 3").Await("two", patience); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a program that ends: %v", err)
	}
	if err := start(t, "sleep", "1000").Await("word", 10*time.Millisecond); err == nil {
		t.Error("a silent program has written")
	}
	if _, err := Start(exec.Command("/nonexistent")); err == nil {
		t.Error("a missing program starts")
	}
}

func TestOutputIsBounded(t *testing.T) {
	p := start(t, "sh", "-c", "yes | head -c 1000000; echo end")
	<-p.Ended()
	if out := p.Output(); len(out) > maxJournal || !strings.HasSuffix(out, "end\n") {
		t.Errorf("%d bytes kept", len(out))
	}
}

func TestUsage(t *testing.T) {
	u := UsageOf(os.Getpid())
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	cpu := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if diff := (cpu - u.CPU).Abs(); diff > time.Second || u.MaxRSS < 1<<20 {
		t.Errorf("%+v, want about %v of CPU", u, cpu)
	}
}
