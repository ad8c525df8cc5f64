package main

import (
	"fmt"
	"path/filepath"
)

// reading are works that walk trees and read small files.
func reading(s Scale) []Work {
	repository := func(site *Site) error { return makeRepository(filepath.Join(site.Dir, "repo")) }
	status := Work{
		Packets: "an LSTAT for each tracked file, a listing for each directory",
		On:      []Condition{mid},
		Prepare: repository,
		Reset:   resetIndex,
		Do:      shell(`cd repo && git status --porcelain >"$LOCAL/out"`),
		SSH:     `$SSH sandbox "git -C '$DIR/repo' status --porcelain" >"$LOCAL/out"`,
		Check:   lines("out", func(*Site) (int, error) { return 0, nil }),
	}
	grep := Work{
		Packets: "open, read, close of each file in the walker's order",
		On:      []Condition{mid},
		Prepare: repository,
		Do:      shell(`cd repo && grep -r --exclude-dir=.git ` + needle + ` . >"$LOCAL/out"`),
		SSH: `mkdir "$LOCAL/tree" && $SSH sandbox "tar c --exclude .git -C '$DIR/repo' ." | tar x -C "$LOCAL/tree" && ` +
			`grep -r ` + needle + ` "$LOCAL/tree" >"$LOCAL/out"`,
		Check: lines("out", func(*Site) (int, error) { return repositoryFiles, nil }),
	}
	return []Work{
		{
			Name:    "find -ls, 877 files in 267 directories, cold",
			Packets: "a listing for each directory; attributes come with the listings",
			On:      []Condition{mid, far},
			Prepare: repository,
			Do:      shell(`cd repo && find . -ls >"$LOCAL/out"`),
			SSH:     `$SSH sandbox "cd '$DIR/repo' && find . -ls" >"$LOCAL/out"`,
			Check:   lines("out", func(site *Site) (int, error) { return countNames(filepath.Join(site.Dir, "repo")) }),
			Targets: faster(map[Condition]float64{mid: 25, far: 30}),
		},
		as(status, "git status, cold", false, 15),
		as(status, "git status again, past the TTL", true, 8),
		as(grep, "grep -r over 167 files, cold", false, 15),
		as(grep, "grep -r again, past the TTL", true, 30),
		{
			Name:    "rsync -a out of the mount, 167 files",
			Packets: "listings, then open, read, close of each file",
			On:      []Condition{mid},
			Prepare: repository,
			Do:      shell(`rsync -a --exclude .git repo/ "$LOCAL/out/"`),
			SSH:     `mkdir "$LOCAL/out" && $SSH sandbox "tar c --exclude .git -C '$DIR/repo' ." | tar x -C "$LOCAL/out"`,
			Check:   sameTree(func(s *Site) string { return s.Dir + "/repo" }, func(s *Site) string { return s.Local + "/out" }, ".git"),
			Targets: faster(map[Condition]float64{mid: 12}),
		},
		{
			Name:    fmt.Sprintf("ls -l of a directory of %d", s.Huge),
			Packets: "one listing of many READDIRs, several in flight",
			On:      []Condition{mid},
			Prepare: func(site *Site) error { return makeHuge(filepath.Join(site.Dir, "huge"), s.Huge) },
			Do:      shell(`ls -l huge >"$LOCAL/out"`),
			SSH:     `$SSH sandbox "ls -l '$DIR/huge'" >"$LOCAL/out"`,
			Check:   lines("out", func(*Site) (int, error) { return s.Huge + 1, nil }), // and the total
			Targets: []Target{{mid, "sbxmount", "ssh", 1. / 3, 0, 0}},
		},
		{
			Name:     "first ls after the start",
			Packets:  "connect, log in, start SFTP, list the root",
			On:       []Condition{far},
			Prepare:  func(site *Site) error { return makeFiles(site.Dir, 1, 10) },
			Mounting: true,
			Do:       shell(`ls >"$LOCAL/out"`),
			Check:    lines("out", func(*Site) (int, error) { return 1, nil }),
			Targets:  []Target{{On: far, System: "sbxmount", Against: "sshfs", Within: 2}},
		},
	}
}

// as is a work under a name, cold or warm, with its target at 20 ms.
func as(w Work, name string, warm bool, times float64) Work {
	w.Name, w.Warm = name, warm
	if warm {
		w.SSH = "" // nothing is kept: the cold row says it
	}
	w.Targets = faster(map[Condition]float64{mid: times})
	return w
}
