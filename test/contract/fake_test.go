package contract_test

import (
	"testing"

	"github.com/sbxmount/sbxmount/test/contract"
	"github.com/sbxmount/sbxmount/test/fake"
)

func TestFake(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		r := fake.NewServer().Connect()
		t.Cleanup(r.Close)
		return contract.Subject{Remote: r, Dir: "/home/user"}
	})
}
