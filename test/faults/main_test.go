package faults_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing may go on after the tests have closed their sandboxes.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
