package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Children of a process, from the kernel's own list (CONFIG_PROC_CHILDREN).
func Children(pid int) []int {
	var pids []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// Descendants of a process, parents before their children.
func Descendants(pid int) []int {
	family := Children(pid)
	for i := 0; i < len(family); i++ {
		family = append(family, Children(family[i])...)
	}
	return family
}

// Leaves are the descendants without children.
func Leaves(pid int) []int {
	return slices.DeleteFunc(Descendants(pid), func(p int) bool { return len(Children(p)) > 0 })
}

// Named are the descendants that run a program of that name.
func Named(pid int, name string) []int {
	return slices.DeleteFunc(Descendants(pid), func(p int) bool {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p))
		return strings.TrimSpace(string(comm)) != name
	})
}

// KillDescendants ends all that comes from a process, but not itself: also what
// has left its process group, as sshd's sessions do. Each is stopped before its children are listed, so that none is born meanwhile.
func KillDescendants(pid int) {
	family := Children(pid)
	for i := 0; i < len(family); i++ {
		freeze(family[i])
		family = append(family, Children(family[i])...)
	}
	for _, p := range family {
		syscall.Kill(p, syscall.SIGKILL)
	}
}

func freeze(pid int) { syscall.Kill(pid, syscall.SIGSTOP) }

func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }
