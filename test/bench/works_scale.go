package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// Curve is a row of works that differ in one number.
type Curve struct {
	Name string // of the plot's file
	Axis string // what X counts
	X    int
}

const (
	// filesEach is how many files a directory of the walked trees has: a
	// packet of names.
	filesEach = 100
	// readerParts is how many files the readers share: as many as there are
	// readers at most.
	readerParts = 64
)

// scaling are works whose results are drawn as curves: what a tree's size costs
// in time and memory, and what readers at once get.
func scaling(s Scale) (all []Work) {
	for _, n := range s.Files {
		all = append(all, walkOf(n))
	}
	for _, n := range s.Readers {
		all = append(all, readersOf(n, s.Big))
	}
	return all
}

func walkOf(n int) Work {
	return Work{
		Name:    fmt.Sprintf("walk of %d files", n),
		Packets: "a listing for each directory, many of them at once",
		On:      []Condition{mid},
		Prepare: func(site *Site) error {
			for d := range n / filesEach {
				if err := makeHuge(filepath.Join(site.Dir, "tree", fmt.Sprintf("d%04d", d)), filesEach); err != nil {
					return err
				}
			}
			return nil
		},
		Do:    shell(`find tree -ls >"$LOCAL/out"`),
		SSH:   `$SSH sandbox "cd '$DIR' && find tree -ls" >"$LOCAL/out"`,
		Check: lines("out", func(*Site) (int, error) { return 1 + n/filesEach + n, nil }),
		Files: n,
		Curve: Curve{Name: "files", Axis: "files", X: n},
	}
}

func readersOf(n int, size int64) Work {
	return Work{
		Name:    fmt.Sprintf("%d readers of %s in %d files", n, mib(size), readerParts),
		Packets: "READs of several files in flight at once, each reader with its share",
		On:      []Condition{mid},
		Prepare: func(site *Site) error {
			dir := filepath.Join(site.Dir, "parts")
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			for i := range readerParts {
				if err := writeBig(filepath.Join(dir, fmt.Sprint(i)), size/readerParts); err != nil {
					return err
				}
			}
			return nil
		},
		Do:    own("readers parts", int64(n)),
		Bytes: size,
		Curve: Curve{Name: "readers", Axis: "readers at once", X: n},
	}
}
