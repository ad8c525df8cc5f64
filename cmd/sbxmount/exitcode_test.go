package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// TestExitCodesInREADME holds README's table to the program's.
func TestExitCodesInREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range exitMeanings {
		want = append(want, fmt.Sprintf("| %d | %s |", e.code, e.meaning))
	}
	got := regexp.MustCompile(`(?m)^\| \d+ \| .* \|$`).FindAllString(string(readme), -1)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("README.md has\n%s\nthe program\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFlagsInREADME holds README to naming every flag and mount option.
func TestFlagsInREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	for _, c := range append(root.Commands(), root) {
		c.InitDefaultHelpFlag()
		for _, name := range flagNames(c) {
			if !c.Hidden && !strings.Contains(string(readme), "--"+name) {
				t.Errorf("README.md does not name --%s of %s", name, c.Name())
			}
		}
	}
	for _, o := range mountOptions {
		if !strings.Contains(string(readme), "`"+o.name) {
			t.Errorf("README.md does not name -o %s", o.name)
		}
	}
	for _, c := range root.Commands() {
		if !c.Hidden && !strings.Contains(string(readme), "sbxmount "+c.Name()) {
			t.Errorf("README.md does not name sbxmount %s", c.Name())
		}
	}
}

// TestEveryReasonHasACode: a reason without an entry would exit with 0.
func TestEveryReasonHasACode(t *testing.T) {
	for r := conn.Network; r <= conn.NoSFTP; r++ {
		if dialCodes[r] == exitOK {
			t.Errorf("%v: no exit code", r)
		}
	}
	for r := sandbox.Unreachable; r <= sandbox.BadSpec; r++ {
		if a := apiAnswers[r]; a.code == exitOK || a.advice == "" {
			t.Errorf("%v: no exit code or no advice", r)
		}
	}
}

func TestFailureOfWrappedErrors(t *testing.T) {
	dial := &conn.Error{Op: "connect", Kind: conn.NotConnected, Err: &conn.DialError{Reason: conn.PortClosed, Advice: "start websocat"}}
	for _, tt := range []struct {
		err    error
		code   exitCode
		advice string
	}{
		{fmt.Errorf("dial: %w", dial), exitPortClosed, "start websocat"},
		{&sandbox.Error{Op: "resume", Reason: sandbox.NoKey}, exitNotFound, apiAnswers[sandbox.NoKey].advice},
		{&conn.Error{Op: "lstat", Path: "/x", Kind: conn.NotExist}, exitRemote, ""},
		{&conn.Error{Op: "lstat", Path: "/x", Kind: conn.TimedOut}, exitNetwork, ""},
		{fmt.Errorf("whatever"), exitFailed, ""},
	} {
		f := asFailure(tt.err)
		if f.Code != tt.code || tt.advice != "" && f.Advice != tt.advice {
			t.Errorf("%v: got %d %q", tt.err, f.Code, f.Advice)
		}
	}
	if asFailure(nil) != nil {
		t.Error("no error is no failure")
	}
}
