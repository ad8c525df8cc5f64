package sandboxd

import "golang.org/x/sys/unix"

func fstatvfs(fd int) (vfs, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return vfs{}, err
	}
	v := vfs{
		bsize: uint64(st.Bsize), frsize: uint64(st.Frsize), blocks: st.Blocks, bfree: st.Bfree, bavail: st.Bavail,
		files: st.Files, ffree: st.Ffree, favail: st.Ffree, namemax: uint64(st.Namelen),
		fsid: uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		v.flag |= vfsReadOnly
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		v.flag |= vfsNoSUID
	}
	return v, nil
}
