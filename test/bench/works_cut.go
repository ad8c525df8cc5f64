package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// recovering is what a user waits for after the connection was reset.
func recovering() []Work {
	return []Work{{
		Name:    "first change after a reset",
		Packets: "a new connection with its login, the old session's end, and the change",
		On:      []Condition{mid, far},
		Reset:   func(site *Site) error { return remove(site.Dir, "first") },
		Cut:     true,
		Do:      shell(`mkdir first`),
		Check: func(_ context.Context, site *Site) error {
			if made, err := os.Stat(filepath.Join(site.Dir, "first")); err != nil || !made.IsDir() {
				return fmt.Errorf("the directory is not on the server: %w", err)
			}
			return nil
		},
		MaxTrips: 15 + 1, // mkdir looks at the name first, and both are blocked
	}}
}
