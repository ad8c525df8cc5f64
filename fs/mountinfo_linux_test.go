package fs

import (
	"strings"
	"testing"
)

const someMounts = `22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
30 28 0:50 / /mnt/a\040b\134c rw,nosuid,nodev,relatime shared:1 master:2 - fuse.sbxmount sbxmount rw,user_id=0,group_id=0,max_read=1048576
31 30 0:51 / /mnt/a\040b\134c ro,nosuid,nodev,noexec - fuse.sbxmount sbxmount ro,user_id=0
nonsense
32 28 0:52 /
33 28 0:53 / /mnt/bad rw,nodev - fuse.sbxmount sbxmount rw
34 28 0:54 / /mnt/over rw,nosuid,nodev - ext4 /dev/sda1 rw
`

func TestMountInfo(t *testing.T) {
	i, err := scanMountInfo(strings.NewReader(someMounts), `/mnt/a b\c`)
	if err != nil {
		t.Fatal(err)
	}
	if i.device != "0:51" || i.fsType != "fuse.sbxmount" || i.source != "sbxmount" {
		t.Errorf("not the topmost: %+v", i)
	}
	if err := i.check(&Options{ReadOnly: true, NoExec: true}); err != nil {
		t.Error(err)
	}
	if _, err := scanMountInfo(strings.NewReader(someMounts), "/mnt"); err == nil {
		t.Error("found what is not mounted")
	}
}

func TestMountInfoCheckFails(t *testing.T) {
	for _, c := range []struct {
		point string
		o     Options
		says  string
	}{
		{"/mnt/bad", Options{}, "without nosuid"},
		{"/mnt/over", Options{}, "mounted over"},
		{`/mnt/a b\c`, Options{}, ""},
		{"/proc", Options{}, "type proc"},
	} {
		i, err := scanMountInfo(strings.NewReader(someMounts), c.point)
		if err != nil {
			t.Fatal(err)
		}
		err = i.check(&c.o)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.point, err)
		}
	}
	one, _ := scanMountInfo(strings.NewReader(strings.ReplaceAll(someMounts, "ro,nosuid,nodev,noexec", "rw,nosuid,nodev")), `/mnt/a b\c`)
	for _, o := range []Options{{NoExec: true}} {
		if one.check(&o) == nil {
			t.Errorf("%+v passes", o)
		}
	}
}

func FuzzMountInfo(f *testing.F) {
	for line := range strings.Lines(someMounts) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if i, ok := parseMountInfo(line); ok && (i.device == "" || i.fsType == "") {
			t.Errorf("%q: %+v", line, i)
		}
	})
}
