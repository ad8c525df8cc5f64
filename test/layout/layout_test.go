// Package layout holds the module to its layout: which package may import
// which, and a few habits that a compiler does not know.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sbxmount/sbxmount"

const (
	fuse      = "github.com/hanwen/go-fuse/"
	sftp      = "github.com/pkg/sftp"
	ssh       = "golang.org/x/crypto/ssh"
	websocket = "github.com/coder/websocket"
	cobra     = "github.com/spf13/cobra"
)

// rule says which packages of ours a package may import, and what it must not
// know: an import path, or all below it with a slash at the end.
type rule struct {
	may []string
	not []string
}

// rules has every package outside of test. What is not in it has no place.
var rules = map[string]rule{
	"cmd/sbxmount": {may: []string{"fs", "fs/vfs", "fs/vfs/content", "conn", "conn/journal", "conn/sandbox", "conn/sandboxd"}, not: []string{sftp, fuse, ssh, websocket}},
	// conn for its words alone: kinds of error, modes, flags.
	"fs":                 {may: []string{"fs/vfs", "conn"}, not: []string{sftp, ssh, websocket, cobra, "net", "net/"}},
	"fs/vfs":             {may: []string{"fs/vfs/content", "conn"}, not: []string{sftp, ssh, websocket, fuse, cobra, "net", "net/", "syscall", "golang.org/x/sys/"}},
	"fs/vfs/content":     {may: []string{"conn"}, not: []string{sftp, ssh, websocket, fuse, cobra, "net", "net/", "syscall", "golang.org/x/sys/"}},
	"conn":               {may: []string{"conn/sandbox", "conn/internal/sftp"}, not: []string{fuse, cobra}},
	"conn/journal":       {may: []string{"conn"}, not: []string{sftp, ssh, websocket, fuse, cobra, "net", "net/"}},
	"conn/internal/sftp": {not: []string{sftp, websocket, fuse, cobra}},
	"conn/sandbox":       {not: []string{sftp, ssh, websocket, fuse, cobra}},
	"conn/sandboxd":      {not: []string{fuse, cobra}},
}

// pkg is what go list tells.
type pkg struct {
	ImportPath, Dir, Doc             string
	Imports, GoFiles, IgnoredGoFiles []string
	TestGoFiles, XTestGoFiles        []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func (p pkg) inTest() bool { return strings.HasPrefix(p.name(), "test/") }

// list asks for all packages of the module as a system sees them.
func list(t *testing.T, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,Imports,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", module+"/...")
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		for _, p := range list(t, goos) {
			if p.inTest() {
				continue // tests and benchmarks may know everything
			}
			r, known := rules[p.name()]
			if !known {
				t.Errorf("%s is not in the table of packages", p.name())
				continue
			}
			for _, path := range p.Imports {
				if reason := r.forbids(path); reason != "" {
					t.Errorf("%s (%s) imports %s, which %s", p.name(), goos, path, reason)
				}
			}
		}
	}
}

// forbids says what is wrong with an import, "" if nothing.
func (r rule) forbids(path string) string {
	if own, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(r.may, own) {
		return "is not below it"
	}
	for _, not := range r.not {
		if path == not || strings.HasSuffix(not, "/") && strings.HasPrefix(path, not) {
			return "it must not know"
		}
	}
	if path == "testing" {
		return "is for tests"
	}
	return ""
}

func TestPackagesHaveAComment(t *testing.T) {
	for _, p := range list(t, "linux") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

// bad is what must not stand in a source file. The patterns are written so
// that they do not find themselves.
var bad = map[string]*regexp.Regexp{
	"a test that is skipped":   regexp.MustCompile(`\b[tb]\.Skip` + `(f|Now)?\(`),
	"something left undone":    regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
	"something that is a stub": regexp.MustCompile(`(?i)not ` + `implemented`),
}

func TestNothingIsLeftUndone(t *testing.T) {
	for _, p := range list(t, "linux") {
		for _, file := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Error(err)
			}
			for what, pattern := range bad {
				if found := pattern.Find(text); found != nil {
					t.Errorf("%s/%s: %s: %q", p.name(), file, what, found)
				}
			}
		}
	}
}

// TestDependenciesHaveReasons: each module that ours imports stands in
// CONTRIBUTING.md's table with the reason for it, and no other does.
func TestDependenciesHaveReasons(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Dependencies\n")
	var named []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+\.\S+/.*?) \| .+ \|$`).FindAllStringSubmatch(section, -1) {
		named = append(named, strings.Split(row[1], ", ")...)
	}
	direct := strings.Fields(string(out))
	for _, module := range direct {
		if !slices.Contains(named, module) {
			t.Errorf("CONTRIBUTING.md has no reason for %s", module)
		}
	}
	for _, module := range named {
		if !slices.Contains(direct, module) {
			t.Errorf("CONTRIBUTING.md has %s, which is no dependency", module)
		}
	}
	if len(direct) < 10 {
		t.Errorf("only %v", direct)
	}
}
