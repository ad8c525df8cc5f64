package sandboxd

import "golang.org/x/sys/unix"

func fstatvfs(fd int) (vfs, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return vfs{}, err
	}
	v := vfs{
		bsize: uint64(st.Bsize), frsize: uint64(st.Bsize), blocks: st.Blocks, bfree: st.Bfree, bavail: st.Bavail,
		files: st.Files, ffree: st.Ffree, favail: st.Ffree, namemax: unix.NAME_MAX,
		fsid: uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
	}
	if st.Flags&unix.MNT_RDONLY != 0 {
		v.flag |= vfsReadOnly
	}
	if st.Flags&unix.MNT_NOSUID != 0 {
		v.flag |= vfsNoSUID
	}
	return v, nil
}
