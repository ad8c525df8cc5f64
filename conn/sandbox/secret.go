package sandbox

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a value that never shows itself: fmt, slog and encoders print a
// placeholder. Reveal gives it to the one place that sends it.
type Secret string

const redacted = "[secret]"

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// Format prints a placeholder for every verb, %x and %#v among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText encodes a placeholder, in JSON as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
