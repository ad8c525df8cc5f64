package main

import (
	"context"
	"os/exec"
	"path/filepath"
)

// writing are works that make, change and remove many small files.
func writing(Scale) []Work {
	fixtures := func(site *Site) error {
		if err := makeFiles(filepath.Join(site.Fixtures, "files"), 20, 10); err != nil {
			return err
		}
		return exec.Command("tar", "cf", site.Fixtures+"/files.tar", "-C", site.Fixtures+"/files", ".").Run()
	}
	arrived := sameTree(func(s *Site) string { return s.Fixtures + "/files" }, func(s *Site) string { return s.Dir + "/new" })
	reset := func(site *Site) error { return remove(site.Dir, "new") }
	const tarIn = `tar c -C "$FIXTURES/files" . | $SSH sandbox "mkdir '$DIR/new' && tar x -C '$DIR/new'"`

	sync := Work{
		On:      []Condition{mid},
		Prepare: fixtures,
		Reset:   reset,
		Writes:  true,
		Do:      shell(`rsync -a "$FIXTURES/files/" new/`),
		Check:   arrived,
	}
	in, again := sync, sync
	in.Name = "rsync -a 200 files in"
	in.Packets = "for each file create, write, attributes, close, rename"
	in.SSH = tarIn
	in.Targets = []Target{{mid, "sbxmount", "sshfs", 4, 0, 0}, {mid, "async", "sshfs", 40, 0, 0}, {mid, "async", "ssh", 1. / 3, 0, 0}}
	again.Name = "rsync -a again, nothing to do"
	again.Packets = "listings alone: names, sizes and times are the same"
	again.Warm = true
	again.Targets = faster(map[Condition]float64{mid: 15})

	return []Work{in, again, {
		Name:    "untar 200 files",
		Packets: "for each file create, write, attributes, close",
		On:      []Condition{mid},
		Prepare: fixtures,
		Reset:   reset,
		Writes:  true,
		Do:      shell(`mkdir new && tar xf "$FIXTURES/files.tar" -C new`),
		SSH:     tarIn,
		Check:   arrived,
		Targets: []Target{{mid, "sbxmount", "sshfs", 3.5, 0, 0}, {mid, "async", "sshfs", 25, 0, 0}},
	}, {
		Name:    "rm -r 200 files in 20 directories",
		Packets: "listings, then an unlink for each file and an rmdir for each directory",
		On:      []Condition{mid},
		Prepare: func(*Site) error { return nil },
		Reset:   func(site *Site) error { return makeFiles(filepath.Join(site.Dir, "old"), 20, 10) },
		Writes:  true,
		Do:      shell(`rm -r old`),
		SSH:     `$SSH sandbox "rm -r '$DIR/old'"`,
		Check:   absent("old"),
		Targets: []Target{{mid, "sbxmount", "sshfs", 1.1, 0, 0}, {mid, "async", "sshfs", 8, 0, 0}},
	}, {
		Name:    "20 editor saves with fsync",
		Packets: "for each create, write, fsync, close, rename, then open and read",
		On:      []Condition{mid},
		Prepare: func(*Site) error { return nil },
		Reset:   func(site *Site) error { return remove(site.Dir, "text") },
		Writes:  true,
		Do:      own("save text", saveCount),
		Check:   func(_ context.Context, site *Site) error { return saved(site.Dir, saveCount) },
		Targets: []Target{{mid, "sbxmount", "sshfs", 2.2, 0, 0}, {mid, "async", "sshfs", 2.2, 0, 0}},
	}, {
		Name:    "git clone of 400 files, then checkout of another branch",
		Packets: "creates and writes of a pack, an index and a tree; a replace of half of it",
		On:      []Condition{mid},
		Prepare: func(site *Site) error { return makeOrigin(filepath.Join(site.Fixtures, "origin")) },
		Reset:   func(site *Site) error { return remove(site.Dir, "clone") },
		Writes:  true,
		Do:      shell(`git clone -q "$FIXTURES/origin" clone && git -C clone checkout -q other`),
		Check:   cloned,
		Targets: []Target{{mid, "sbxmount", "sshfs", 4, 0, 0}, {mid, "async", "sshfs", 20, 0, 0}},
	}}
}
