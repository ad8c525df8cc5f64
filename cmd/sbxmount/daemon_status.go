package main

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// status is the mount at this moment, without a round trip.
func (d *daemon) status() status {
	l := d.client.Status()
	s := status{mountState: d.state, Content: d.content(), Process: processNow(), Events: d.past.last()}
	s.Link = linkStatus{
		State: l.State.String(), Since: l.Since, RTT: float64(l.RTT) / float64(time.Millisecond),
		Reconnects: l.Reconnects, Connections: l.Conns, Lanes: l.Lanes,
		BytesIn: l.BytesIn, BytesOut: l.BytesOut, InFlight: l.InFlight,
	}
	if l.LastError != nil {
		s.Link.LastError = l.LastError.Error()
	}
	return s
}

// processNow reads what the runtime counts. It stops nothing.
func processNow() processStatus {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(heap)
	s := processStatus{Goroutines: runtime.NumGoroutine()}
	for _, m := range heap {
		s.Heap += int64(m.Value.Uint64())
	}
	return s
}

// content is the files' side of the status.
func (d *daemon) content() contentStatus {
	s := d.tree.Stats()
	c := contentStatus{
		Cached: s.Content.Cached, CacheSize: s.Content.CacheSize,
		Waiting: s.Content.Dirty, WriteBuffer: s.Content.WriteBuffer, Lost: s.Content.Lost,
		Names: s.Inodes, OpenFiles: s.Handles, Unusable: s.Unusable,
	}
	for _, w := range s.Waiting {
		c.Files = append(c.Files, fileBytes{Path: w.Path, Bytes: w.Bytes})
	}
	return c
}
