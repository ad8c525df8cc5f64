package link

// Fault is what After does.
type Fault int

const (
	Reset     Fault = iota // the connection is reset at both ends
	HalfClose              // this direction ends with a FIN; what follows on it is lost
	Stop                   // the connection is stranded: nothing passes any more, nobody is told
)

// trap waits for a number of bytes.
type trap struct {
	left  int64
	fault Fault
}

// After lets n more bytes of a direction pass, counted over all connections,
// and then does fault to the connection that carried the last of them, most
// likely in the middle of a packet. A later call replaces one that has
// not happened; a negative n takes it back.
func (l *Link) After(d Direction, n int64, fault Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.traps[d] = nil
	if n >= 0 {
		l.traps[d] = &trap{left: n, fault: fault}
	}
}

// spring counts n bytes that are about to be delivered. It says how many of
// them pass, and whether a fault follows.
func (l *Link) spring(d Direction, n int) (pass int, fault Fault, sprung bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.traps[d]
	if t == nil {
		return n, 0, false
	}
	if int64(n) <= t.left {
		t.left -= int64(n)
		return n, 0, false
	}
	l.traps[d] = nil
	l.sprung.Add(1)
	return int(t.left), t.fault, true
}
