package sandbox

import "fmt"

// Reason says why a provider could not answer. It is an error itself, so that
// errors.Is(err, sandbox.NotFound) works.
type Reason uint8

// The reasons.
const (
	Unreachable   Reason = iota // no answer, or the provider is in trouble
	NotFound                    // no such sandbox, or another account's
	IsPaused                    // the sandbox is paused: Resume first
	NoKey                       // that takes an API key
	Refused                     // the API key is wrong or lacks the right
	Transitioning               // the sandbox is changing between running and paused
	TooMany                     // too many requests
	BadAnswer                   // the answer makes no sense
	BadSpec                     // what names the sandbox makes no sense
)

var reasonText = [...]string{
	Unreachable:   "the provider's API can't be reached",
	NotFound:      "sandbox not found",
	IsPaused:      "the sandbox is paused",
	NoKey:         "this needs an API key: set E2B_API_KEY",
	Refused:       "the provider refused the API key",
	Transitioning: "the sandbox is changing state",
	TooMany:       "too many requests to the provider",
	BadAnswer:     "the provider's answer makes no sense",
	BadSpec:       "not a sandbox",
}

func (r Reason) Error() string {
	if int(r) < len(reasonText) {
		return reasonText[r]
	}
	return fmt.Sprintf("sandbox error %d", uint8(r))
}

// Error is a question to the provider that has no good answer.
type Error struct {
	Op     string // "state", "resume", "keep alive", "list", "parse"
	Reason Reason
	Err    error // what lies beneath, or nil; holds neither secrets nor the id
}

func (e *Error) Error() string {
	s := "sandbox " + e.Op + ": " + e.Reason.Error()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// Is makes an Error match its Reason.
func (e *Error) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r == e.Reason
}
