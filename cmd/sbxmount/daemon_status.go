package main

import (
	"runtime"
	"time"
)

// status is the mount at this moment, without a round trip.
func (d *daemon) status() status {
	l := d.client.Status()
	s := status{mountState: d.state, Content: d.content(), Events: d.log.past.last()}
	s.Link = linkStatus{
		State: l.State.String(), Since: l.Since, RTT: float64(l.RTT) / float64(time.Millisecond),
		Reconnects: l.Reconnects, Connections: l.Conns, Lanes: l.Lanes,
		BytesIn: l.BytesIn, BytesOut: l.BytesOut, InFlight: l.InFlight,
	}
	s.Limits = d.limits()
	if l.LastError != nil {
		s.Link.LastError = l.LastError.Error()
	}
	return s
}

// limits is how much of the process's bounds is taken.
func (d *daemon) limits() limitStatus {
	t := d.tree.Stats()
	l := limitStatus{
		Inodes: t.Inodes, MaxInodes: t.MaxInodes, Open: t.Handles, MaxOpen: t.MaxOpen,
		Goroutines: runtime.NumGoroutine(), Memory: memoryInUse(), MaxMemory: d.cfg.mostMemory(),
	}
	l.Requests, l.MaxRequests = d.mounted.Requests()
	if d.journal != nil {
		l.Journal, l.MaxJournal = d.journal.Size()
	}
	l.MaxGoroutines = goroutinesEach*l.MaxRequests + goroutineSlack
	return l
}

// content is the files' side of the status.
func (d *daemon) content() contentStatus {
	s := d.tree.Stats()
	c := contentStatus{
		Cached: s.Content.Cached, CacheSize: s.Content.CacheSize,
		Waiting: s.Content.Dirty, WriteBuffer: s.Content.WriteBuffer, Lost: s.Content.Lost,
		Behind: s.Behind, Refused: s.Refused, Names: s.Inodes, OpenFiles: s.Handles, Unusable: s.Unusable,
	}
	for _, w := range s.Waiting {
		c.Files = append(c.Files, fileBytes{Path: w.Path, Bytes: w.Bytes})
	}
	return c
}
