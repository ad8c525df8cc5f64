package fs

import "testing"

func TestOwnersShown(t *testing.T) {
	five, six := uint32(5), uint32(6)
	user := IDMap{MapUser: true, LoginUID: 1001, LoginGID: 1002, LoginKnown: true, LocalUID: 1000, LocalGID: 100}
	unknown := user
	unknown.LoginKnown = false
	forced := user
	forced.ForceUID, forced.ForceGID = &five, &six
	for _, c := range []struct {
		name             string
		ids              IDMap
		uid, gid         uint32
		wantUID, wantGID uint32
	}{
		{"none", IDMap{}, 1001, 0, 1001, 0},
		{"the login user's", user, 1001, 1002, 1000, 100},
		{"another's", user, 0, 33, 0, 33},
		{"the local user's number by chance", user, 1000, 100, nobody, nobody},
		{"one of both", user, 1001, 0, 1000, 0},
		{"login user not known", unknown, 1001, 1000, 1001, 1000},
		{"forced", forced, 1001, 0, 5, 6},
	} {
		if uid, gid := c.ids.owner(c.uid, c.gid); uid != c.wantUID || gid != c.wantGID {
			t.Errorf("%s: %d:%d, want %d:%d", c.name, uid, gid, c.wantUID, c.wantGID)
		}
	}
}

// What a file is shown to belong to can be set again, and means the same.
func TestOwnersGoBack(t *testing.T) {
	ids := IDMap{MapUser: true, LoginUID: 1001, LoginGID: 1002, LoginKnown: true, LocalUID: 1000, LocalGID: 100}
	for _, id := range []uint32{0, 1, 33, 1001, 1002, 4242} {
		uid, gid := ids.owner(id, id)
		if ids.uid(uid) != id || ids.gid(gid) != id {
			t.Errorf("%d is shown as %d:%d, which sets %d:%d", id, uid, gid, ids.uid(uid), ids.gid(gid))
		}
	}
	same := IDMap{MapUser: true, LoginUID: 1000, LoginGID: 1000, LoginKnown: true, LocalUID: 1000, LocalGID: 1000}
	if uid, gid := same.owner(1000, 1000); uid != 1000 || gid != 1000 {
		t.Errorf("the same number on both sides is shown as %d:%d", uid, gid)
	}
}

func TestUmask(t *testing.T) {
	mask := uint32(0o027)
	ids := IDMap{Umask: &mask}
	if got := ids.perm(0o4604); got != 0o750 {
		t.Errorf("%o", got)
	}
	if got := (&IDMap{}).perm(0o4604); got != 0o4604 {
		t.Errorf("%o", got)
	}
}

func TestGivesAway(t *testing.T) {
	root := IDMap{LoginKnown: true}
	if !root.givesAway(1000, 1000) || root.givesAway(0, 0) {
		t.Error("root's login with mapping none")
	}
	for _, ids := range []IDMap{
		{LoginKnown: true, MapUser: true, LocalUID: 1000},
		{LoginKnown: true, LoginUID: 1001},
		{},
	} {
		if ids.givesAway(1000, 1000) {
			t.Errorf("%+v gives files away", ids)
		}
	}
}

func TestAccess(t *testing.T) {
	user := IDMap{LoginKnown: true, LoginUID: 1000}
	root := IDMap{LoginKnown: true}
	for _, c := range []struct {
		ids       IDMap
		mode, uid uint32
		mask      uint32
		want      bool
	}{
		{user, 0o100600, 1000, 6, true},
		{user, 0o100400, 1000, 2, false},
		{user, 0o100077, 1000, 4, false}, // the owner's bits count alone
		{user, 0o100604, 0, 4, true},
		{user, 0o100600, 0, 4, false},
		{user, 0o100660, 0, 6, true}, // perhaps by a group
		{user, 0o100000, 1000, 0, true},
		{root, 0o100000, 1000, 6, true},
		{root, 0o100644, 1000, 1, false},
		{root, 0o100645, 1000, 1, true},
		{root, 0o040000, 1000, 7, true},
		{IDMap{}, 0o100000, 0, 7, true},
	} {
		if got := c.ids.allows(c.mode, c.uid, c.mask); got != c.want {
			t.Errorf("login %d, mode %o of %d, mask %d: %v", c.ids.LoginUID, c.mode, c.uid, c.mask, got)
		}
	}
}
