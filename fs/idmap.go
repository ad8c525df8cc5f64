package fs

// IDMap says which local owners the sandbox's owners are shown as. The zero
// IDMap shows every number as it is.
type IDMap struct {
	// MapUser shows the login user's files as the local user's, and the other
	// way round when an owner is set. Another owner keeps its number, unless
	// that is the local user's by chance: then it is nobody's.
	MapUser            bool
	LoginUID, LoginGID uint32 // on the sandbox, where LoginKnown
	LoginKnown         bool   // without it MapUser does nothing
	LocalUID, LocalGID uint32 // the mounting user's
	ForceUID, ForceGID *uint32
	Umask              *uint32 // shown modes are 0777 without these bits, as with sshfs
}

// nobody is the id that Linux shows for an owner that has no local number
// (/proc/sys/kernel/overflowuid).
const nobody = 65534

// owner returns the local ids to show for the sandbox's.
func (m *IDMap) owner(uid, gid uint32) (uint32, uint32) {
	if m.maps() {
		uid = show(uid, m.LoginUID, m.LocalUID)
		gid = show(gid, m.LoginGID, m.LocalGID)
	}
	if m.ForceUID != nil {
		uid = *m.ForceUID
	}
	if m.ForceGID != nil {
		gid = *m.ForceGID
	}
	return uid, gid
}

func show(id, login, local uint32) uint32 {
	switch id {
	case login:
		return local
	case local:
		return nobody
	}
	return id
}

// uid returns the sandbox's user for a local one that a file is given to.
func (m *IDMap) uid(local uint32) uint32 {
	if m.maps() && local == m.LocalUID {
		return m.LoginUID
	}
	return local
}

// gid returns the sandbox's group for a local one.
func (m *IDMap) gid(local uint32) uint32 {
	if m.maps() && local == m.LocalGID {
		return m.LoginGID
	}
	return local
}

// perm returns the permission bits to show.
func (m *IDMap) perm(bits uint32) uint32 {
	if m.Umask != nil {
		return 0o777 &^ *m.Umask
	}
	return bits
}

func (m *IDMap) maps() bool { return m.MapUser && m.LoginKnown }

// givesAway reports whether what caller creates must be given to it: the
// server makes it root's, and no mapping shows root's files as the caller's.
func (m *IDMap) givesAway(uid, gid uint32) bool {
	return m.LoginKnown && m.LoginUID == 0 && !m.MapUser && (uid != 0 || gid != m.LoginGID)
}
