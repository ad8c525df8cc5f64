package fs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// mountInfo is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mountInfo struct {
	device  string // major:minor
	point   string
	options []string // of the mount and of the file system
	fsType  string
	source  string
}

func (i mountInfo) has(option string) bool { return slices.Contains(i.options, option) }

// findMount returns what is mounted at point: where several are, the topmost,
// which stands last.
func findMount(point string) (mountInfo, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mountInfo{}, fmt.Errorf("the mount can't be checked: %w", err)
	}
	defer f.Close()
	return scanMountInfo(f, point)
}

func scanMountInfo(r io.Reader, point string) (found mountInfo, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // an overlay's options can be long
	for lines.Scan() {
		if i, ok := parseMountInfo(lines.Text()); ok && i.point == point {
			found = i
		}
	}
	if err := lines.Err(); err != nil {
		return mountInfo{}, err
	}
	if found.point == "" {
		return mountInfo{}, fmt.Errorf("nothing is mounted at %s", point)
	}
	return found, nil
}

// parseMountInfo reads "36 35 98:0 /root /point opts tag:1 - type source opts".
func parseMountInfo(line string) (mountInfo, bool) {
	mount, system, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(mount), strings.Fields(system)
	if !ok || len(left) < 6 || len(right) < 3 {
		return mountInfo{}, false
	}
	options := strings.Split(left[5], ",")
	return mountInfo{
		device: left[2], point: unescapeMount(left[4]),
		options: append(options, strings.Split(right[2], ",")...),
		fsType:  unescapeMount(right[0]), source: unescapeMount(right[1]),
	}, true
}

// unescapeMount undoes the kernel's \040 for blank, tab, newline, backslash.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
