package fs

import (
	"sync"
	"testing"
)

func TestTable(t *testing.T) {
	var tab table[int]
	one, two := 1, 2
	a, b := tab.add(&one), tab.add(&two)
	if a == 0 || a == b || tab.get(a) != &one || tab.get(b) != &two {
		t.Fatalf("%d, %d", a, b)
	}
	for _, id := range []uint64{0, 99, 1 << 63} {
		if tab.get(id) != nil || tab.remove(id) != nil {
			t.Errorf("%d stands for something", id)
		}
	}
	if tab.remove(a) != &one || tab.get(a) != nil || tab.remove(a) != nil {
		t.Error("remove")
	}
	if again := tab.add(&one); again != a {
		t.Errorf("%d is not used again", a)
	}
	if all := tab.drain(); len(all) != 2 || tab.get(b) != nil {
		t.Errorf("drained %d", len(all))
	}
}

func TestTableIsShared(t *testing.T) {
	var tab table[int]
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				id := tab.add(&i)
				if tab.get(id) != &i || tab.remove(id) != &i {
					t.Error("another's handle")
				}
			}
		})
	}
	all.Wait()
	if len(tab.open) > 8 {
		t.Errorf("%d numbers for 8 users", len(tab.open))
	}
}
