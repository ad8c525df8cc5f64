package contract_test

import (
	"testing"

	"github.com/sbxmount/sbxmount/conn/journal"
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

// The journal in between keeps the contract.
func TestJournalled(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		r := fake.NewServer().Connect()
		t.Cleanup(r.Close)
		j, err := journal.Create(journal.Options{Dir: t.TempDir(), Name: "j", Of: "sandbox"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return contract.Subject{Remote: j.Wrap(r), Dir: "/home/user"}
	})
}
