package survive_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// program is the built program, made when it is first needed.
var program builtProgram

type builtProgram struct {
	once sync.Once
	dir  string
	err  error
}

func (b *builtProgram) path(t testing.TB) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "survive-"); b.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(b.dir, "sbxmount"), "github.com/sbxmount/sbxmount/cmd/sbxmount").CombinedOutput()
		if err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return filepath.Join(b.dir, "sbxmount")
}

func (b *builtProgram) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}
