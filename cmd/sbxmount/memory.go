package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memorySlack is what the daemon needs beside what it counts: packets of some
	// connections, the runtime, and garbage that is not collected yet.
	memorySlack = 64 << 20
	// inodeSize is about what one takes, with its name; a test of fs/vfs holds
	// it to that.
	inodeSize = 500
	// requestSize is the most that one READ or WRITE carries.
	requestSize = 1 << 20
	// goroutinesEach is what a request may have: its own, one that watches its
	// caller, and one that carries a change to its end. The rest is the
	// connections', the kernel's readers' and the runtime's.
	goroutinesEach = 3
	goroutineSlack = 256
)

// mostMemory is what the daemon takes when every bound is reached. The write
// buffer is a part of the cache.
func (c *config) mostMemory() int64 {
	return int64(c.CacheSize) + int64(c.MaxInodes)*inodeSize + int64(c.MaxRequests)*requestSize + memorySlack
}

// memoryInUse is what the runtime has of the system.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// limitEvery is how often the collector's limit follows the inodes: a listing of
// a hundred thousand takes longer.
const limitEvery = 5 * time.Second

// limitMemory tells the garbage collector what is enough, so that it does not
// let the heap grow to twice what is in use: the cache, whose bytes it frees,
// the inodes that there are, and some.
func (d *daemon) limitMemory(context.Context) error {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	set := func() {
		debug.SetMemoryLimit(int64(d.cfg.CacheSize) + int64(d.tree.Stats().Inodes)*inodeSize + memorySlack)
	}
	set()
	tick, over, done := time.NewTicker(limitEvery), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				set()
			case <-over:
				return
			}
		}
	}()
	d.undo = append(d.undo, func() { close(over); <-done })
	return nil
}
