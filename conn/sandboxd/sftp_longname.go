package sandboxd

import (
	"fmt"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// names knows the names of users and groups that were met.
type names struct {
	users, groups map[uint32]string
}

// user and group return a name, or the number where there is none.
func (n *names) user(uid uint32) string {
	return cached(&n.users, uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (n *names) group(gid uint32) string {
	return cached(&n.groups, gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func cached(known *map[uint32]string, id uint32, find func(string) (string, error)) string {
	if name, ok := (*known)[id]; ok {
		return name
	}
	number := strconv.FormatUint(uint64(id), 10)
	name, err := find(number)
	if err != nil {
		name = number
	}
	if *known == nil {
		*known = map[uint32]string{}
	}
	(*known)[id] = name
	return name
}

// long is a listing's line as OpenSSH's ls_file makes it.
func (n *names) long(name string, st *unix.Stat_t) string {
	mtime := time.Unix(int64(st.Mtim.Sec), 0)
	date := mtime.Format("Jan _2 15:04")
	if age := time.Since(mtime); age > 365*24*time.Hour/2 || age < 0 {
		date = mtime.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s %3d %-8s %-8s %8d %s %s", modeText(uint32(st.Mode)), st.Nlink,
		n.user(st.Uid), n.group(st.Gid), st.Size, date, name)
}

// modeText is strmode(3), without its last blank.
func modeText(mode uint32) string {
	text := []byte("?rwxrwxrwx")
	text[0] = map[uint32]byte{
		unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFREG: '-', unix.S_IFIFO: 'p',
		unix.S_IFSOCK: 's', unix.S_IFCHR: 'c', unix.S_IFBLK: 'b',
	}[mode&unix.S_IFMT]
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit    uint32
		at     int
		letter byte
	}{{unix.S_ISUID, 3, 's'}, {unix.S_ISGID, 6, 's'}, {unix.S_ISVTX, 9, 't'}} {
		if mode&special.bit == 0 {
			continue
		}
		if text[special.at] == '-' {
			special.letter -= 'a' - 'A'
		}
		text[special.at] = special.letter
	}
	return string(text) + " "
}
