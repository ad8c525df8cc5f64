package openssh

import (
	"os"
	"testing"
)

// bridgeVariable is an environment variable with a bridge's name, which then
// stands in for every other bridge: the suites run again behind another one.
const bridgeVariable = "SBXMOUNT_TEST_BRIDGE"

// Start is New for a test or benchmark, which fails if there is no server and
// ends it when it is done. What sshd wrote is shown if the test failed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if name := os.Getenv(bridgeVariable); name != "" && o.Bridge != None {
		bridge, err := ParseBridge(name)
		if err != nil {
			t.Fatalf("%s: %v", bridgeVariable, err)
		}
		o.Bridge = bridge
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sshd wrote:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
