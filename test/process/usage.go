package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks is the unit of times in /proc: USER_HZ, 100 on all that Go runs on.
const ticks = 100

// Usage is what processes have used so far.
type Usage struct {
	CPU    time.Duration // user and system, children that ended included
	MaxRSS int64         // bytes: the sum of each process's own maximum
}

// UsageOf adds up what running processes have used (proc_pid_stat(5),
// proc_pid_status(5)). One that has ended counts nothing.
func UsageOf(pids ...int) (u Usage) {
	for _, pid := range pids {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if i := bytes.LastIndexByte(stat, ')'); i >= 0 {
			fields := strings.Fields(string(stat[i+1:]))
			for _, field := range fields[11:15] { // utime, stime, cutime, cstime
				n, _ := strconv.ParseInt(field, 10, 64)
				u.CPU += time.Duration(n) * time.Second / ticks
			}
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(status)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
				n, _ := strconv.ParseInt(fields[1], 10, 64)
				u.MaxRSS += n << 10
			}
		}
	}
	return u
}
