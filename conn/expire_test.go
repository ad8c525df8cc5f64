package conn

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

// What has waited for too long ends, and nothing else is touched: what was lost
// is looked for where it waits, and would be sent once more, unseen, from
// anywhere else.
func TestExpireLeavesTheRest(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	c := &Client{o: Options{Timeout: time.Minute, Log: log}, files: map[*file]struct{}{}, held: holds{}, listing: holds{}, writing: holds{}}
	c.state.init(log)
	c.outage.Store(&outage{turned: make(chan struct{})})
	now := time.Now()
	c.state.downSince = now.Add(-2 * time.Minute)

	var told []string
	start := func(name string, f *file, q request, age time.Duration) *op {
		c.seq++
		c.live++
		o := &op{q: q, file: f, seq: c.seq, since: now.Add(-age)}
		o.finish = func(_ *request, _ Attr, err error) {
			if KindOf(err) != TimedOut {
				t.Errorf("%s: %v", name, err)
			}
			told = append(told, name)
		}
		return o
	}
	f := &file{c: c, path: "/log", flags: OpenWrite | OpenAppend}
	c.files[f] = struct{}{}
	write := request{kind: reqWrite, buf: []byte("record")}
	lost := start("a lost append", f, write, time.Second)
	lost.lost = &lostError{sent: true}
	name := start("a lost rename", nil, request{kind: reqRename, path: "/a", to: "/b"}, 2*time.Minute)
	name.lost = &lostError{sent: true}
	queued := start("an old write", f, write, 2*time.Minute)
	young := start("a young write", f, write, time.Second)
	bulk := start("an old bulk write", f, write, 2*time.Minute)
	for _, o := range []*op{lost, queued, young, bulk} {
		f.began(o)
	}
	c.waiting = []*op{lost, name}
	f.hold(queued)
	f.hold(young)
	queued.blocked, young.blocked = 1, 1
	c.bulk.add(bulk)

	c.settling = true
	if c.expire(); len(told) > 0 {
		t.Errorf("ended while it is being decided: %v", told)
	}
	c.settling = false
	c.expire()
	if want := []string{"a lost rename", "an old write", "an old bulk write"}; !slices.Equal(told, want) {
		t.Errorf("ended: %v, want %v", told, want)
	}
	if !slices.Equal(c.waiting, []*op{lost}) || lost.lost == nil || !slices.Equal(f.queue, []*op{young}) || len(c.bulk.queue) > 0 {
		t.Errorf("%d wait, %d in the file's queue, %d in bulk's", len(c.waiting), len(f.queue), len(c.bulk.queue))
	}
	if f.asked != int64(2*len(write.buf)) || f.strays != 0 || len(f.writes) != 0 {
		t.Errorf("the file has %d bytes asked, %d strays, %d writes", f.asked, f.strays, len(f.writes))
	}
}
