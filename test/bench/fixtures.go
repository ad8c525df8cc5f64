package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// repositoryFiles are tracked; with the objects of repositoryCommits there are
// 877 files in 267 directories: what a small project looks like.
const (
	repositoryFiles   = 167
	repositoryDirs    = 18
	repositoryCommits = 104

	needle = "needle" // stands once in each file
)

// past is when fixtures were last changed: long ago, so that no tool thinks
// that a file might have changed within the same second.
var past = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// words is a text of about size bytes with the needle in it.
func words(random *rand.Rand, size int) []byte {
	var b bytes.Buffer
	b.WriteString(needle + "\n")
	for b.Len() < size {
		fmt.Fprintf(&b, "%x\n", random.Uint64())
	}
	return b.Bytes()
}

// put writes a file with its directories, and sets it in the past.
func put(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, past, past)
}

// makeFiles makes dirs directories with each files of 1 to 16 KiB. One
// directory is dir itself.
func makeFiles(dir string, dirs, each int) error {
	random := rand.New(rand.NewPCG(1, 2))
	for d := range dirs {
		sub := filepath.Join(dir, fmt.Sprintf("d%02d", d))
		for f := range each {
			if err := put(filepath.Join(sub, fmt.Sprintf("file%02d.txt", f)), words(random, 1<<10+random.IntN(15<<10))); err != nil {
				return err
			}
		}
		if err := os.Chtimes(sub, past, past); err != nil {
			return err
		}
	}
	return os.Chtimes(dir, past, past)
}

// makeHuge makes a directory of count empty files.
func makeHuge(dir string, count int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for n := range count {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file%06d", n)))
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// makeRepository makes a git repository with a history of loose objects.
func makeRepository(dir string) error {
	random := rand.New(rand.NewPCG(3, 4))
	name := func(n int) string {
		return fmt.Sprintf("src/package%02d/file%03d.go", n%repositoryDirs, n)
	}
	for n := range repositoryFiles {
		if err := put(filepath.Join(dir, name(n)), words(random, 500+random.IntN(8<<10))); err != nil {
			return err
		}
	}
	if err := git(dir, "init", "-q", "--template=", "-b", "main"); err != nil {
		return err
	}
	for n := range repositoryCommits {
		if n > 0 {
			if err := put(filepath.Join(dir, name(n)), words(random, 4<<10)); err != nil {
				return err
			}
		}
		if err := commit(dir, n); err != nil {
			return err
		}
	}
	// Reset's copy is not in the tree that is walked.
	return copyFile(filepath.Join(dir, ".git", "index"), dir+".index")
}

// resetIndex gives a repository the index that it was made with: git status
// may have refreshed it.
func resetIndex(site *Site) error {
	repository := filepath.Join(site.Dir, "repo")
	return copyFile(repository+".index", filepath.Join(repository, ".git", "index"))
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// makeOrigin makes a repository to clone, of 400 files, with a branch other
// that changes half of them.
func makeOrigin(dir string) error {
	if err := makeFiles(dir, 40, 10); err != nil {
		return err
	}
	steps := [][]string{{"init", "-q", "--template=", "-b", "main"}, {"checkout", "-q", "-b", "other"}, {"checkout", "-q", "main"}}
	if err := errors.Join(git(dir, steps[0]...), commit(dir, 0), git(dir, steps[1]...)); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(5, 6))
	for d := range 20 {
		for f := range 10 {
			if err := put(filepath.Join(dir, fmt.Sprintf("d%02d/file%02d.txt", d, f)), words(random, 6<<10)); err != nil {
				return err
			}
		}
	}
	return errors.Join(commit(dir, 1), git(dir, steps[2]...))
}

// commit commits all, as the nth, at a time that is always the same.
func commit(dir string, n int) error {
	if err := git(dir, "add", "-A"); err != nil {
		return err
	}
	return git(dir, "commit", "-q", "-m", fmt.Sprint("commit ", n))
}

func git(dir string, args ...string) error {
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), gitEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

// gitEnv makes git the same on every machine: no user configuration, one
// author, one time, no collecting of garbage in the background, and no care
// about who owns a directory.
var gitEnv = []string{
	"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
	"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost", "GIT_AUTHOR_DATE=2024-05-06T07:08:09Z",
	"GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost", "GIT_COMMITTER_DATE=2024-05-06T07:08:09Z",
	"GIT_CONFIG_COUNT=2",
	"GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0",
	"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
}

// countNames counts a directory's files and directories, itself included.
func countNames(dir string) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		n++
		return err
	})
	return n, err
}

// tree describes each name below a directory, but those called except: what it
// is, its permissions, its size and bytes or text, and a file's time.
func tree(dir, except string) (map[string]string, error) {
	names := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == except {
			return fs.SkipDir
		}
		names[strings.TrimPrefix(path, dir)], err = describe(path, entry)
		return err
	})
	return names, err
}

func describe(path string, entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	about := fmt.Sprint(info.Mode())
	switch {
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		return fmt.Sprintf("%s %d %s", about, info.ModTime().Unix(), data), err
	case info.Mode()&fs.ModeSymlink != 0:
		text, err := os.Readlink(path)
		return about + " " + text, err
	}
	return about, nil
}
