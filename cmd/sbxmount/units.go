package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// byteSize is a flag in bytes: a number, alone or with K, M, G or T, each of
// 1024, written with or without "iB" or "B".
type byteSize int64

const sizeUnits = "KMGT"

func (b *byteSize) Set(s string) error {
	digits := strings.TrimRight(strings.TrimSpace(s), "KMGTkmgtiBb")
	unit := strings.ToUpper(strings.TrimSpace(s)[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a size: write it as 256M or 1G", s)
	}
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")
	shift := 0
	if unit != "" {
		i := strings.Index(sizeUnits, unit)
		if len(unit) != 1 || i < 0 {
			return fmt.Errorf("%q is not a size: write it as 256M or 1G", s)
		}
		shift = 10 * (i + 1)
	}
	if n > (1<<62)>>shift {
		return fmt.Errorf("%s is more than can be counted", s)
	}
	*b = byteSize(n << shift)
	return nil
}

func (b *byteSize) String() string { return formatSize(int64(*b)) }

// Type is what the help shows for the value.
func (b *byteSize) Type() string { return "size" }

// formatSize gives a size with three digits that matter.
func formatSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1023.95 && unit < len(sizeUnits)-1 {
		f /= 1024
		unit++
	}
	digits := 1
	if f >= 99.95 {
		digits = 0
	}
	return strings.TrimSuffix(fmt.Sprintf("%.*f", digits, f), ".0") + " " + sizeUnits[unit:unit+1] + "iB"
}

// formatDuration gives a duration at the precision that a person reads it at.
func formatDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + formatDuration(-d)
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// count gives a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// plain makes a sandbox's text safe for a terminal: control characters, which
// could move the cursor or worse, are written as in Go.
func plain(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			q := strconv.Quote(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}

// harmless writes JSON on as it is, but for the characters that encoding/json
// leaves alone and terminals act on: DEL, U+0080 to U+009F, and those that turn
// the direction of text or do not show. A write is whole characters.
type harmless struct{ w io.Writer }

func (h harmless) Write(p []byte) (int, error) {
	var safe []byte
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '\n' || strconv.IsPrint(r):
			safe = append(safe, rest[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		default:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	if _, err := h.w.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}
