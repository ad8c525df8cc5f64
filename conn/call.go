package conn

import (
	"context"
	"sync"
)

// A Call is an operation that has been started: its place in the order of
// operations is taken, its answer may still be on the way. Every Call ends,
// with the answer or with an error, within the bound that its Remote states.
//
// All methods may be called by several goroutines at once.
type Call[T any] struct {
	done chan struct{} // closed once val and err are set

	mu     sync.Mutex       // guards all below; held for no callback
	val    T                // read-only once done is closed
	err    error            // likewise
	then   []func(T, error) // waiting for the answer
	cancel func(error) bool // withdraws the operation; nil where it can't be
}

// NewCall returns a Call that Finish will answer. withdraw, where not nil, is
// asked by Cancel to take the operation back and says whether it could: true
// promises that the operation was not sent and will not be.
func NewCall[T any](withdraw func(cause error) bool) *Call[T] {
	return &Call[T]{done: make(chan struct{}), cancel: withdraw}
}

// Answered returns a Call that has its answer already.
func Answered[T any](val T, err error) *Call[T] {
	c := NewCall[T](nil)
	c.Finish(val, err)
	return c
}

// Finish gives the Call its answer and runs what Then left, in order, on the
// calling goroutine. Only the first Finish counts; it reports whether it was
// this one.
func (c *Call[T]) Finish(val T, err error) bool {
	c.mu.Lock()
	select {
	case <-c.done:
		c.mu.Unlock()
		return false
	default:
	}
	c.val, c.err = val, err
	then := c.then
	c.then, c.cancel = nil, nil
	close(c.done)
	c.mu.Unlock()
	for _, f := range then {
		f(val, err)
	}
	return true
}

// Done is closed when the answer is there.
func (c *Call[T]) Done() <-chan struct{} { return c.done }

// Wait returns the answer. When ctx ends first it returns the context's cause
// and the operation goes on behind: what was sent to a server can't be taken
// back (Cancel withdraws what was not sent).
func (c *Call[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-c.done:
		return c.val, c.err
	default:
	}
	select {
	case <-c.done:
		return c.val, c.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Then has f called with the answer: at once where it is there already,
// otherwise on the goroutine that delivers it. f must not block and must not
// wait for another Call, since answers come in order on that goroutine.
func (c *Call[T]) Then(f func(T, error)) {
	c.mu.Lock()
	select {
	case <-c.done:
		c.mu.Unlock()
		f(c.val, c.err)
	default:
		c.then = append(c.then, f)
		c.mu.Unlock()
	}
}

// Cancel withdraws the operation if it was not sent yet. True means that it
// never took and will never take effect; the Call then ends with cause.
func (c *Call[T]) Cancel(cause error) bool {
	c.mu.Lock()
	withdraw := c.cancel
	c.mu.Unlock()
	if withdraw == nil || !withdraw(cause) {
		return false
	}
	var none T
	c.Finish(none, cause)
	return true
}
