package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// bulk are works on one large file.
func bulk(s Scale) []Work {
	big := func(site *Site) error { return writeBig(filepath.Join(site.Dir, "big"), s.Big) }
	return []Work{{
		Name:    "read " + mib(s.Big),
		Packets: "one open, then READs in a row: a window of them has to be in flight",
		On:      []Condition{near, mid, far, edge, slow},
		Prepare: big,
		Do:      own("read big", s.Big),
		SSH:     `$SSH sandbox "cat '$DIR/big'" >/dev/null`,
		Limit:   ReadBig,
		Bytes:   s.Big,
		Targets: []Target{
			{near, "sbxmount", "sshfs", 1.8, 0, 0}, {near, "sbxmount", "limit", 0.75, 0, 0},
			{mid, "sbxmount", "sshfs", 15, 0, 0}, {mid, "sbxmount", "ssh", 3, 0, 0}, {mid, "sbxmount", "limit", 0.8, 0, 0},
			{far, "sbxmount", "sshfs", 40, 0, 0}, {far, "sbxmount", "ssh", 6, 0, 0},
			{slow, "sbxmount", "link", 0.93, 0, 0},
		},
	}, {
		Name:    "write " + mib(s.Big) + " + fsync",
		Packets: "one create, WRITEs in a row, one fsync that waits for all",
		On:      []Condition{near, mid, far, edge, slow},
		Prepare: func(site *Site) error { return writeBig(filepath.Join(site.Fixtures, "big"), s.Big) },
		Reset:   func(site *Site) error { return remove(site.Dir, "new") },
		Writes:  true,
		Do:      own("write new", s.Big),
		SSH:     `$SSH sandbox "cat >'$DIR/new'; sync '$DIR/new'" <"$FIXTURES/big"`,
		Limit:   WriteBig,
		Check: func(_ context.Context, site *Site) error {
			return readBig(filepath.Join(site.Dir, "new"), s.Big)
		},
		Bytes: s.Big,
		Targets: []Target{
			{near, "sbxmount", "sshfs", 1.5, 0, 0},
			{mid, "sbxmount", "sshfs", 2.3, 0, 0}, {mid, "sbxmount", "limit", 0.85, 0, 0},
			{mid, "async", "sshfs", 2.3, 0, 0},
			{far, "sbxmount", "sshfs", 8, 0, 0}, {far, "async", "sshfs", 8, 0, 0},
			{slow, "sbxmount", "link", 0.9, 0, 0},
		},
	}, {
		Name:    "cp of " + mib(s.Big) + " inside the mount",
		Packets: "copy_file_range: the server copies; else every byte crosses the link twice",
		On:      []Condition{mid},
		Prepare: big,
		Reset:   func(site *Site) error { return remove(site.Dir, "copy") },
		Writes:  true,
		Do:      shell(`cp big copy`),
		SSH:     `$SSH sandbox "cp '$DIR/big' '$DIR/copy'"`,
		Check: func(_ context.Context, site *Site) error {
			return readBig(filepath.Join(site.Dir, "copy"), s.Big)
		},
		Targets: []Target{{mid, "sbxmount", "sshfs", 10, 0, 0}, {mid, "async", "sshfs", 10, 0, 0}},
	}, {
		Name:    "statfs beside a read of " + mib(s.Big),
		Packets: "one request and its answer at a time, which data in flight must not hold up",
		On:      []Condition{mid},
		Prepare: big,
		Do:      own("probe big", s.Big),
		Bytes:   s.Big,
		Probes:  true,
		Targets: []Target{{On: mid, System: "sbxmount", Probes: 2}},
	}, {
		Name:    "16 threads of random 4 KiB reads",
		Packets: "16 READs in flight and no more bytes than are asked for",
		On:      []Condition{mid},
		Prepare: big,
		Do:      own("random big", s.Big),
		Targets: faster(map[Condition]float64{mid: 1.8}),
	}}
}

// remove takes a name away, if it is there.
func remove(dir, name string) error {
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return nil
}
