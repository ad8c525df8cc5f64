package behave

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// patience bounds what would otherwise hang a test run.
const patience = time.Minute

// link is the connection to a server in memory.
type link struct {
	*fake.Remote
	before atomic.Pointer[func(fake.Request)] // sees each request at the server
}

// newTree returns a tree over a new server in memory, and the server.
func newTree(t *testing.T, edit func(*vfs.Options)) (*vfs.Tree, *fake.Server, *link) {
	t.Helper()
	server := fake.NewServer()
	var remote *link
	tree := connect(t, server, func(o *vfs.Options) {
		remote = o.Remote.(*link)
		if edit != nil {
			edit(o)
		}
	})
	return tree, server, remote
}

// connect returns a tree over a server, by a connection of its own.
func connect(t *testing.T, server *fake.Server, edit func(*vfs.Options)) *vfs.Tree {
	t.Helper()
	remote := &link{Remote: server.Connect()}
	remote.Before = func(q fake.Request) error {
		if f := remote.before.Load(); f != nil {
			(*f)(q)
		}
		return nil
	}
	t.Cleanup(remote.Close)
	o := vfs.Options{Remote: remote, Root: "/home/user", TTL: time.Second, InoKey: "test", Log: logger(t)}
	if edit != nil {
		edit(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tree, err := vfs.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tree.Close(ctx); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
	})
	return tree
}

// logger logs warnings as the test's own lines.
func logger(t *testing.T) *slog.Logger {
	level := slog.LevelWarn
	if os.Getenv("BEHAVE_TRACE") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}
