package behave

import (
	"fmt"
	"sync"
	"syscall"
)

// busyCases: several at once.
var busyCases = []Case{
	{"ManyWritersOfManyFiles", func(c *C) {
		c.each(8, func(i int) {
			for j := range 12 {
				name := fmt.Sprintf("w%d-%d", i, j)
				c.Write(name, name+pattern(j*5000))
			}
		})
		for i := range 8 {
			for j := range 12 {
				name := fmt.Sprintf("w%d-%d", i, j)
				c.Holds(name, name+pattern(j*5000))
			}
		}
	}},
	{"WritersOfOneFile", func(c *C) {
		const part = 100 << 10
		c.Write("a", "")
		c.each(6, func(i int) {
			f := c.Open("a", syscall.O_WRONLY)
			p := []byte(pattern(part + i))[i:]
			for off := 0; off < part; off += 10 << 10 {
				_, err := f.WriteAt(p[off:off+10<<10], int64(i*part+off))
				c.OK(err, "write")
			}
			c.OK(f.Close(), "close")
		})
		want := ""
		for i := range 6 {
			want += pattern(part + i)[i:]
		}
		c.Holds("a", want)
	}},
	{"ReadersOfOneFile", func(c *C) {
		want := pattern(2 << 20)
		c.Write("a", want)
		c.each(6, func(i int) {
			if got := c.Read("a"); got != want {
				c.Errorf("reader %d: %d bytes, wrong", i, len(got))
			}
		})
	}},
	{"CreateAndRemoveInOneDirectory", func(c *C) {
		c.each(6, func(i int) {
			for j := range 25 {
				name := fmt.Sprintf("t%d", i)
				c.Write(name, fmt.Sprint(j))
				if j%3 == 0 {
					c.OK(c.S.Rename(c.P(name), c.P(name+"x"), true), "rename")
					name += "x"
				}
				c.OK(c.S.Unlink(c.P(name)), "unlink")
			}
		})
		c.HasNames("", "")
	}},
	{"OnlyOneCreatesExclusively", func(c *C) {
		for round := range 10 {
			var mu sync.Mutex
			winners := 0
			c.each(5, func(int) {
				f, err := c.S.Open(c.P(fmt.Sprint("lock", round)), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600)
				if err != nil {
					c.Is(err, syscall.EEXIST, "create")
					return
				}
				f.Close()
				mu.Lock()
				winners++
				mu.Unlock()
			})
			if winners != 1 {
				c.Errorf("%d created it", winners)
			}
		}
	}},
	{"RenamesAreAtomic", func(c *C) {
		// Whoever opens the name finds one version or the other, whole.
		versions := map[string]bool{}
		for i := range 20 {
			versions[fmt.Sprintf("version %d", i)] = true
		}
		c.Write("doc", "version 0")
		c.each(2, func(i int) {
			for v := range 20 {
				if i == 0 {
					c.Write("tmp", fmt.Sprintf("version %d", v))
					c.OK(c.S.Rename(c.P("tmp"), c.P("doc"), true), "rename")
				} else if got := c.Read("doc"); !versions[got] {
					c.Errorf("read %s", brief(got))
				}
			}
		})
		c.HasNames("", "doc")
	}},
}

// each runs f n times at once and ends the case where one of them did.
func (c *C) each(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
	if c.Failed() {
		c.FailNow()
	}
}
