package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
)

// The shell tells a connection's process, and ends that of another one.
func TestShell(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, Shell: true})
	old, err := dialSSH(t, r)
	if err != nil {
		t.Fatal(err)
	}
	young, err := dialSSH(t, r)
	if err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	for i, c := range []shell{{old}, {young}} {
		out, err := c.run("echo sbxmount $PPID")
		if _, err2 := fmt.Sscanf(string(out), "sbxmount %d", &pids[i]); err != nil || err2 != nil {
			t.Fatalf("%q, %v, %v", out, err, err2)
		}
	}
	if pids[0] == pids[1] {
		t.Fatal("two connections have one process")
	}
	if _, err := (shell{young}).run("ls"); err == nil {
		t.Error("another command is run")
	}
	if _, err := (shell{young}).run(fmt.Sprintf("p=%d\nkill -9 $p", pids[0])); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = old.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the old connection goes on")
	}
	if _, err := (shell{young}).run("echo $PPID"); err != nil {
		t.Errorf("the young connection: %v", err)
	}
}
