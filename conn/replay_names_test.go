package conn

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// names is a server's names, for operations that it carries out or refuses.
type names map[string]bool

func (n names) carryOut(o *op) {
	switch o.q.kind {
	case reqMkdir, reqSymlink, reqOpen:
		n[o.q.path] = true
	case reqLink:
		n[o.q.to] = true
	case reqRename, reqPosixRename:
		if n[o.q.path] {
			delete(n, o.q.path)
			n[o.q.to] = true
		}
	case reqUnlink, reqRmdir:
		delete(n, o.q.path)
	}
}

// look answers what a trace looks at.
func (n names) look(t *trace) {
	for name, r := range t.seen {
		if !n[name] {
			r.err = &Error{Kind: NotExist}
		}
	}
	for o, r := range t.texts {
		if r.text = o.q.to; !n[o.q.path] {
			r.text, r.err = "", &Error{Kind: NotExist}
		}
	}
}

func lostOp(i int, kind reqKind, path, to string, flags OpenFlags) *op {
	return &op{
		q:   request{kind: kind, path: path, to: to, flags: flags},
		nth: uint64(i), seq: uint64(i), lost: &lostError{sent: true}, file: &file{},
	}
}

func traceOf(ops ...*op) *trace { return (&Client{waiting: ops}).newTrace() }

// What was carried out of many lost operations is found from the names that are
// there now, also where each by itself would tell something else.
func TestTrace(t *testing.T) {
	const excl = OpenCreate | OpenExcl
	for name, row := range map[string]struct {
		before []string
		ops    []*op
		done   int
		want   []verdict
	}{
		"made and taken away": {nil, []*op{
			lostOp(1, reqMkdir, "/d", "", 0), lostOp(2, reqRmdir, "/d", "", 0), lostOp(3, reqMkdir, "/e", "", 0),
		}, 3, []verdict{carriedOut, carriedOut, unclear}},
		"made and taken away, and nobody can tell": {nil, []*op{
			lostOp(1, reqMkdir, "/d", "", 0), lostOp(2, reqRmdir, "/d", "", 0),
		}, 2, []verdict{notDone, notDone}},
		"not made, so not renamed": {[]string{"/f"}, []*op{
			lostOp(1, reqOpen, "/t", "", OpenCreate), lostOp(2, reqPosixRename, "/t", "/f", 0),
		}, 0, []verdict{notDone, notDone}},
		"made, and not renamed yet": {[]string{"/f"}, []*op{
			lostOp(1, reqOpen, "/t", "", OpenCreate), lostOp(2, reqPosixRename, "/t", "/f", 0),
		}, 1, []verdict{notDone, notDone}},
		"renamed twice": {[]string{"/a"}, []*op{
			lostOp(1, reqPosixRename, "/a", "/b", 0), lostOp(2, reqPosixRename, "/b", "/c", 0),
		}, 2, []verdict{carriedOut, carriedOut}},
		"taken away and made again": {[]string{"/a"}, []*op{
			lostOp(1, reqRename, "/a", "/b", 0), lostOp(2, reqOpen, "/a", "", excl),
		}, 2, []verdict{carriedOut, unclear}},
		"replaced, which looks like nothing": {[]string{"/a", "/b"}, []*op{
			lostOp(1, reqPosixRename, "/a", "/b", 0), lostOp(2, reqOpen, "/a", "", excl),
		}, 2, []verdict{unclear, unclear}},
		"a directory moved from above": {[]string{"/d"}, []*op{
			lostOp(1, reqMkdir, "/d/x", "", 0), lostOp(2, reqRename, "/d", "/e", 0),
		}, 0, []verdict{notDone, notDone}},
	} {
		tr := traceOf(row.ops...)
		server := names{}
		for _, n := range row.before {
			server[n] = true
		}
		for _, o := range tr.ops[:row.done] {
			server.carryOut(o)
		}
		server.look(tr)
		least, most := tr.progress()
		for i := range tr.ops {
			if got := tr.verdict(i, least, most); got != row.want[i] {
				t.Errorf("%s: verdict %d of number %d, want %d; between %d and %d", name, got, i, row.want[i], least, most)
			}
		}
	}
}

// Whatever was sent and however much of it was carried out: that is among what
// the trace takes for possible, and nothing that was not done is taken for done.
func TestTracesAtRandom(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		server, ops := names{}, []*op(nil)
		all := []string{"/a", "/b", "/c", "/d", "/e", "/f"}
		for _, n := range all[:r.IntN(4)] {
			server[n] = true
		}
		later := names{}
		for n := range server {
			later[n] = true
		}
		for i := range 1 + r.IntN(12) {
			have, lack := []string(nil), []string(nil)
			for _, n := range all {
				if later[n] {
					have = append(have, n)
				} else {
					lack = append(lack, n)
				}
			}
			var o *op
			switch k := r.IntN(6); {
			case k < 3 && len(lack) > 0:
				n := lack[r.IntN(len(lack))]
				o = []*op{lostOp(i, reqMkdir, n, "", 0), lostOp(i, reqOpen, n, "", OpenCreate|OpenExcl), lostOp(i, reqOpen, n, "", OpenCreate)}[k]
			case k < 5 && len(have) > 1:
				o = lostOp(i, reqPosixRename, have[0], have[1+r.IntN(len(have)-1)], 0)
			case len(have) > 0:
				o = lostOp(i, reqUnlink, have[r.IntN(len(have))], "", 0)
			default:
				o = lostOp(i, reqMkdir, lack[0], "", 0)
			}
			later.carryOut(o)
			ops = append(ops, o)
		}
		tr := traceOf(ops...)
		done := r.IntN(len(ops) + 1)
		for _, o := range ops[:done] {
			server.carryOut(o)
		}
		server.look(tr)
		least, most := tr.progress()
		if done < least || done > most {
			t.Fatalf("seed %d: %d of %d were carried out, taken for %d to %d: %s", seed, done, len(ops), least, most, show(ops))
		}
		for i := range tr.ops {
			switch v := tr.verdict(i, least, most); {
			case v == carriedOut && i >= done:
				t.Fatalf("seed %d: number %d of %s is taken for done, %d were", seed, i, show(ops), done)
			case v == notDone && i < least:
				t.Fatalf("seed %d: number %d of %s is taken for not done, %d were", seed, i, show(ops), done)
			}
		}
	}
}

func show(ops []*op) string {
	var all []string
	for _, o := range ops {
		all = append(all, fmt.Sprintf("%s %s %s", reqNames[o.q.kind], o.q.path, o.q.to))
	}
	return fmt.Sprint(all)
}
