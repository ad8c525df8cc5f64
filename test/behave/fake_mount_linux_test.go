package behave

import (
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// TestMount runs the suite through the kernel.
func TestMount(t *testing.T) {
	for _, v := range []struct {
		name  string
		tree  func(*vfs.Options)
		mount func(*fs.Options)
		t     Traits
	}{
		{"plain", nil, nil, Traits{}},
		{"no-ttl", func(o *vfs.Options) { o.TTL = 0 }, nil, Traits{}},
		{"long-ttl", func(o *vfs.Options) { o.TTL = time.Hour }, nil, Traits{}},
		{"default-permissions", nil, func(o *fs.Options) { o.DefaultPermissions, o.AllowOther = true, true }, Traits{}},
	} {
		t.Run(v.name, func(t *testing.T) {
			tree, _, _ := newTree(t, v.tree)
			v.t.Umask = umask()
			Run(t, Kernel{Root: mount(t, tree, v.mount)}, "", v.t)
		})
	}
}
