package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// firstTrips is what there must be from the command to the first listing: 14 to
// dial with a key, 1 for the root directory's attributes, 2 for its listing.
const firstTrips = 17

// TestFirstListing counts the round trips from the command to the end of the
// first ls, by causality: how busy the machine is does not matter, only that
// what goes on behind the scenes may add some.
func TestFirstListing(t *testing.T) {
	d := newDesk(t)
	h := sshHost(t, openssh.Own)
	d.sh(h.dir, "for i in 1 2 3; do echo $i >f$i; done")
	best := int64(1000)
	for tries := 0; tries < 5 && best > firstTrips; tries++ {
		l, err := link.New(link.Options{Target: h.addr, RTT: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		point := d.mountAt(h.via(l.Addr()), filepath.Join(d.dir, "first"))
		d.sh(point, "ls -l")
		trips := l.Stats().RoundTrips
		t.Logf("%d round trips", trips)
		best = min(best, trips)
		d.umount(point)
		l.Close()
	}
	if best > firstTrips {
		t.Errorf("%d round trips, not %d", best, firstTrips)
	}
}
