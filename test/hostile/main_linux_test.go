package hostile

import (
	"os"
	"testing"
)

// TestMain is also the program that plays in a mount; see player_linux_test.go.
func TestMain(m *testing.M) {
	if dir := os.Getenv(playIn); dir != "" {
		os.Exit(playerMain(dir))
	}
	os.Exit(m.Run())
}
