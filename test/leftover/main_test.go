//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary stand for the command: it must be a process of
// its own, since it adopts and collects all orphans.
func TestMain(m *testing.M) {
	if os.Getenv("LEFTOVER_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestWhatIsLeftFailsTheRun(t *testing.T) {
	for _, test := range []struct {
		name, script string
		code         int
		said         string // in the complaint; "" is none
	}{
		{"nothing", "true", 0, ""},
		{"its own failure", "exit 3", 3, ""},
		{"killed", "kill -9 $$", 1, "killed"},
		{"a daemon", "setsid sh -c 'sleep 1000 & sleep 999' & sleep .2", 1, "sleep 1000"},
		{"a daemon that ends soon", "setsid sleep 1 &", 0, ""},
		{"a file", "touch $TMPDIR/x", 1, "/x"},
		{"too long", "trap '' TERM; sleep 1000", 1, "not done within"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			cmd := exec.Command(os.Args[0], "-limit", "3s", "--", "sh", "-c", test.script)
			cmd.Env = append(os.Environ(), "LEFTOVER_MAIN=1", "TMPDIR="+temp)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d\n%s", code, test.code, out)
			}
			if !strings.Contains(string(out), test.said) || test.said == "" && len(out) > 0 {
				t.Errorf("it says %q, want %q", out, test.said)
			}
			if files, _ := filepath.Glob(temp + "/*"); len(files) > 0 {
				t.Errorf("its own files are left: %v", files)
			}
		})
	}
}
