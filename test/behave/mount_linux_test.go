package behave

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

func ino(st os.FileInfo) uint64 { return st.Sys().(*syscall.Stat_t).Ino }

// mount mounts the tree and returns where. It is unmounted at the test's end:
// in the polite way, or the test fails and the mount is broken off.
func mount(t *testing.T, tree *vfs.Tree, edit func(*fs.Options)) string {
	t.Helper()
	o := fs.Options{
		Mountpoint: t.TempDir(), Tree: tree, Log: logger(t), Trace: os.Getenv("BEHAVE_TRACE") != "",
		IDMap: fs.IDMap{
			MapUser: true, LoginUID: 1000, LoginGID: 1000, LoginKnown: true,
			LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid()),
		},
	}
	if edit != nil {
		edit(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := fs.Mount(ctx, o)
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	if deadline, ok := t.Deadline(); ok {
		// A process that is ended while it waits for its own mount can't end:
		// what it waits for is itself. So the mount is broken off in time.
		alarm := time.AfterFunc(time.Until(deadline)-5*time.Second, m.Abort)
		t.Cleanup(func() { alarm.Stop() })
	}
	t.Cleanup(func() { unmount(t, m) })
	return m.Mountpoint()
}

func unmount(t *testing.T, m *fs.Mounted) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Unmount(ctx); err != nil {
		t.Errorf("unmount: %v", err)
		m.Abort()
		select {
		case <-m.Done():
		case <-time.After(patience):
			t.Errorf("the mount does not end: %s", m.Mountpoint())
		}
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(table), fmt.Sprintf(" %s ", m.Mountpoint())) {
		t.Errorf("%s is still in the mount table (%v)", m.Mountpoint(), err)
	}
}
