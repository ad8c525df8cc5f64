package vfs

import (
	"crypto/sha256"
	"encoding/binary"
)

// inoTable gives inode numbers. The protocol tells none, so they are made of
// the path under which an inode was first seen: the same in every mount of the
// same sandbox, so that programs which remember numbers (git, tar, backups)
// find their files unchanged. The key keeps whoever names the sandbox's files
// from choosing two whose numbers collide. Tree.mu guards it.
type inoTable struct {
	key   string
	taken map[uint64]struct{} // by live inodes
}

// take returns a free number for the path, the same one whenever it is free.
func (it *inoTable) take(path string) uint64 {
	ino := it.hash(path)
	for it.used(ino) {
		// Two live inodes with one path (a replaced file that is still open),
		// or a true collision.
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], ino)
		ino = it.hash(path + string(last[:]))
	}
	it.taken[ino] = struct{}{}
	return ino
}

// used reports a number that can't be given: 0 and 1 mean something to some
// programs.
func (it *inoTable) used(ino uint64) bool {
	_, taken := it.taken[ino]
	return taken || ino <= 1
}

func (it *inoTable) give(ino uint64) { delete(it.taken, ino) }

func (it *inoTable) hash(path string) uint64 {
	buf := make([]byte, 0, 256)
	buf = append(buf, it.key...)
	buf = append(buf, 0)
	buf = append(buf, path...)
	sum := sha256.Sum256(buf)
	return binary.LittleEndian.Uint64(sum[:])
}
