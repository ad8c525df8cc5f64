package behave

import (
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
)

// The server in memory has a login user who is not root and a umask that
// Remote makes up for.
var fakeTraits = Traits{}

// TestTree runs the suite on a tree without a kernel.
func TestTree(t *testing.T) {
	for _, v := range []struct {
		name string
		edit func(*vfs.Options)
	}{
		{"close", nil},
		{"through", func(o *vfs.Options) { o.Writes = vfs.WriteThrough }},
		{"async", func(o *vfs.Options) { o.Writes = vfs.WriteAsync }},
		{"no-ttl", func(o *vfs.Options) { o.TTL = 0 }},
		{"long-ttl", func(o *vfs.Options) { o.TTL = time.Hour }},
		{"small-cache", func(o *vfs.Options) { o.CacheSize, o.WriteBuffer = 2<<20, 1<<20 }},
	} {
		t.Run(v.name, func(t *testing.T) {
			tree, _, _ := newTree(t, v.edit)
			Run(t, Tree{tree}, "", fakeTraits)
		})
	}
}

// TestTreeBehindADelay is the same with a link between.
func TestTreeBehindADelay(t *testing.T) {
	tree, _, _ := newTree(t, func(o *vfs.Options) { o.Remote.(*link).RTT = 2 * time.Millisecond })
	Run(t, Tree{tree}, "", fakeTraits)
}
