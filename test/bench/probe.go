package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// probes is the file in a site's Local that has the times of a work's probes.
const probes = "probes.json"

// probeBeside reads a big file at full speed, and meanwhile asks for the
// capacity of the file system over and over: nothing caches that, so that each
// time costs a round trip at least.
func probeBeside(path string, size int64) error {
	read := make(chan error, 1)
	go func() { read <- readBig(path, size) }()
	var took []time.Duration
	for {
		var stat unix.Statfs_t
		began := time.Now()
		if err := unix.Statfs(".", &stat); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		select {
		case err := <-read:
			text, e := json.Marshal(took)
			return errors.Join(err, e, os.WriteFile(filepath.Join(os.Getenv("LOCAL"), probes), text, 0o644))
		default:
		}
	}
}

// probed returns the 99th percentile of what a work's probes took, in seconds.
func probed(site *Site) (float64, error) {
	var took []time.Duration
	text, err := os.ReadFile(filepath.Join(site.Local, probes))
	if err == nil {
		err = json.Unmarshal(text, &took)
	}
	if err != nil || len(took) == 0 {
		return 0, errors.Join(errors.New("no probes"), err)
	}
	slices.Sort(took)
	return took[(len(took)*99+99)/100-1].Seconds(), nil
}
