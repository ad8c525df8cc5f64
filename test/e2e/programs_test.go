package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRsync copies a tree in and out with everything that -a keeps.
func TestRsync(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		source, back := filepath.Join(d.dir, "source"), filepath.Join(d.dir, "back")
		sample(t, source, 1)
		point := d.mount(h)
		d.tool(d.dir, "rsync", "-a", source+"/", point+"/in/")
		// After rsync's close and rename the server has it: no sync, no unmount.
		compare(t, source, h.path("in"))
		if again := d.tool(d.dir, "rsync", "-ai", source+"/", point+"/in/"); again != "" {
			t.Errorf("a second rsync finds work:\n%s", again)
		}
		d.tool(d.dir, "rsync", "-a", "--checksum", point+"/in/", back+"/")
		compare(t, source, back)

		// A change in the middle of the tree, and one that takes away.
		if err := os.WriteFile(filepath.Join(source, "many/1/file 1.txt"), []byte("new"), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(source, "many/2")); err != nil {
			t.Fatal(err)
		}
		d.tool(d.dir, "rsync", "-a", "--delete", "--inplace", source+"/", point+"/in/")
		d.umount(point)
		compare(t, source, h.path("in"))
	})
}

// TestTar unpacks into the mount, and packs out of it after a remount.
func TestTar(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		source, back := filepath.Join(d.dir, "source"), filepath.Join(d.dir, "back")
		sample(t, source, 2)
		point := d.mount(h)
		d.sh(d.dir, "tar -C source -cf - . | tar -C "+point+" -xpf -")
		d.umount(point)
		compare(t, source, h.dir)
		d.mountAt(h, point)
		d.sh(d.dir, "mkdir back; tar -C "+point+" -cf - . | tar -C back -xpf -")
		compare(t, source, back)
		d.sh(d.dir, "rm -r "+point+"/*")
		d.umount(point)
		if left, _ := filepath.Glob(h.path("[a-z]*")); len(left) > 0 {
			t.Errorf("rm -r left %v", left)
		}
	})
}

// TestGit clones into the mount and works there.
func TestGit(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		sample(t, filepath.Join(d.dir, "origin"), 3)
		d.sh(filepath.Join(d.dir, "origin"), `git init -q -b main .; git add -A; git commit -qm one
git checkout -qb other; rm -r many/0; echo other > bin/tool; git commit -qam two; git checkout -q main`)
		point := d.mount(h)
		d.sh(point, "git clone -q "+d.dir+"/origin repo")
		d.sh(filepath.Join(point, "repo"), `test -z "$(git status --porcelain)"
git checkout -q other; test -z "$(git status --porcelain)"; git checkout -q main
echo changed > sizes/01-1; test "$(git status --porcelain)" = " M sizes/01-1"
git commit -qam three; git gc -q --prune=now; git fsck --strict 2>&1; git stash list; git log --oneline | grep three`)
		d.umount(point)
		// The repository is whole on the server, and clean in the eyes of the
		// same index after a remount.
		d.sh(h.path("repo"), `git fsck --strict 2>&1; git -c core.trustctime=false -c core.checkStat=minimal status --porcelain > ../st; test ! -s ../st`)
		d.mountAt(h, point)
		d.sh(filepath.Join(point, "repo"), `test -z "$(git status --porcelain)"; git pull -q --no-edit --no-rebase origin other; git push -q origin HEAD:pushed`)
		d.umount(point)
	})
}

// TestSqlite: several processes with locks on one database.
func TestSqlite(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		point := d.mount(h)
		d.sh(point, `sqlite3 db 'create table t(x integer primary key, y text)'
for w in 1 2 3; do
  (for i in 1 2 3 4 5 6; do sqlite3 -cmd '.timeout 60000' db "insert into t(y) values ('$w-$i')"; done) & 
done
wait
test "$(sqlite3 db 'select count(*) from t')" = 18
test "$(sqlite3 db 'pragma integrity_check')" = ok`)
		d.umount(point)
		d.sh(h.dir, `test "$(sqlite3 db 'select count(distinct y) from t')" = 18; test "$(sqlite3 db 'pragma integrity_check')" = ok`)
	})
}

// TestFio verifies random writes, reads and truncates by their checksums.
func TestFio(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		point := d.mount(h)
		common := []string{"--directory=" + point, "--size=16M", "--verify=crc32c", "--verify_fatal=1", "--output=" + d.dir + "/fio.out", "--randseed=11"}
		d.tool(d.dir, "fio", append(common, "--name=random", "--rw=randwrite", "--bs=4k-64k", "--ioengine=psync", "--numjobs=2", "--fsync=64", "--end_fsync=1")...)
		d.tool(d.dir, "fio", append(common, "--name=mixed", "--rw=randrw", "--bs=1k-128k", "--ioengine=psync", "--end_fsync=1")...)
		d.tool(d.dir, "fio", append(common, "--name=mapped", "--rw=randwrite", "--bs=4k", "--ioengine=mmap", "--end_fsync=1")...)
		d.umount(point)
		// The bytes on the server have the checksums, too.
		server := append([]string{"--directory=" + h.dir}, common[1:]...)
		d.tool(d.dir, "fio", append(server, "--name=random", "--rw=randwrite", "--bs=4k-64k", "--ioengine=psync", "--numjobs=2", "--verify_only=1")...)
	})
}

// TestThousandsOfOpens leaves no handle behind.
func TestThousandsOfOpens(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		for i := range 20 {
			if err := os.WriteFile(h.path(string(rune('a'+i))), []byte{byte(i)}, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		point := d.mount(h, "--ttl", "0s")
		for i := range 3000 {
			name := filepath.Join(point, string(rune('a'+i%20)))
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatalf("open %d: %v", i, err)
			}
			if i%10 == 0 {
				if _, err := f.WriteAt([]byte{byte(i)}, int64(i%7)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatalf("close %d: %v", i, err)
			}
		}
		until(t, "no file is open", func() bool { return d.status(point).Content.Open == 0 })
		d.umount(point)
	})
}

// TestTwoMounts: close-to-open between two mounts of one sandbox.
func TestTwoMounts(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		one := d.mountAt(h, filepath.Join(d.dir, "one"), "--ttl", "0s")
		two := d.mountAt(h, filepath.Join(d.dir, "two"), "--ttl", "0s")
		if n := len(d.list()); n != 2 {
			t.Errorf("%d mounts", n)
		}
		for i := range 50 {
			text := []byte(time.Duration(i).String()) // of changing lengths, often equal
			from, to := one, two
			if i%2 == 1 {
				from, to = two, one
			}
			if err := os.WriteFile(filepath.Join(from, "shared"), text, 0o644); err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(to, "shared"), text)
		}
		d.sh(one, "mkdir d; echo 1 > d/a; mv d/a d/b; ln -s b d/l")
		d.sh(two, `test "$(cat d/l)" = 1; test "$(ls d)" = "$(printf 'b\nl')"; rm -r d`)
		d.sh(one, "test ! -e d")
		d.umount(one)
		d.umount(two)
	})
}
