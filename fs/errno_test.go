package fs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
)

// kinds returns every kind that package conn has.
func kinds() (all []conn.Kind) {
	for k := conn.Kind(0); !strings.HasPrefix(k.Error(), "error kind"); k++ {
		all = append(all, k)
	}
	return all
}

func TestEveryKindHasAnErrno(t *testing.T) {
	all := kinds()
	if len(all) < 20 || len(all) != len(errnos) {
		t.Errorf("%d kinds, %d errnos", len(all), len(errnos))
	}
	taken := map[syscall.Errno]conn.Kind{}
	for _, k := range all {
		errno, ok := errnos[k]
		if !ok {
			t.Errorf("%q has no errno", k)
		}
		if errno == 0 || errno == syscall.ENOSYS || errno == syscall.ENOTCONN {
			t.Errorf("%q is %v", k, errno)
		}
		if other, ok := taken[errno]; ok {
			t.Errorf("%q and %q are both %v", k, other, errno)
		}
		taken[errno] = k
	}
}

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{conn.NotEmpty, syscall.ENOTEMPTY},
		{&conn.Error{Op: "rmdir", Kind: conn.NotEmpty}, syscall.ENOTEMPTY},
		{fmt.Errorf("while closing: %w", &conn.Error{Op: "write", Kind: conn.NoSpace}), syscall.ENOSPC},
		{errors.New("anything"), syscall.EIO},
		{conn.Kind(200), syscall.EIO},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{errPanic, syscall.EIO},
	} {
		if got := Errno(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
