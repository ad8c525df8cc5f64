package e2e

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/faults"
)

// TestHostileAPI: whatever the provider's API answers, a mount comes about or is
// refused with a number of its own, a mount that is there serves on, and no word
// of the answer moves the cursor.
func TestHostileAPI(t *testing.T) {
	t.Parallel()
	for _, answer := range faults.Answers() {
		t.Run(string(answer), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			s, err := faults.Server{Sandbox: sandboxd.Options{Dir: t.TempDir()}, Edge: faults.Edge{API: answer}}.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, port, err := net.SplitHostPort(s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			point := filepath.Join(d.dir, "m")
			d.env = append(d.env, "E2B_DEBUG=true", "E2B_API_URL="+s.APIURL(), "E2B_API_KEY="+s.APIKey())
			args := []string{"--no-agent", "--port", port, "--timeout=2s", s.ID(), point}
			r := d.run(args...)
			if !slices.Contains([]int{0, 3, 5, 7}, r.code) || strings.ContainsAny(r.err, "\x1b\a\r<") || strings.Contains(r.err, s.APIKey()) {
				t.Errorf("%+v", r)
			}
			if r.code != 0 { // the API is needed, or says no
				s.SetEdge(faults.Edge{})
				d.ok(args...)
				s.SetEdge(faults.Edge{API: answer})
			}
			d.sh(point, "echo data > file; cat file")
			s.Drop() // the API is asked again, and need not answer
			d.run("sync", point)
			s.SetEdge(faults.Edge{})
			d.sh(point, "for i in $(seq 600); do cat file && exit; sleep 0.1; done; exit 1")
			d.umount(point)
		})
	}
}
