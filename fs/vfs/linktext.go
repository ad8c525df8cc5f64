package vfs

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// OutsideName is the hidden directory at a mount's root that presents the
// whole file system of the sandbox. It is never listed.
const OutsideName = ".sbxmount-root"

// maxText is the longest text that symlink(2) takes: PATH_MAX less the NUL.
const maxText = 4095

// maxLooks bounds the questions to the server for one text: far more than a
// text needs that people wrote.
const maxLooks = 128

// errLinkText is a link's text that no local system could hold.
var errLinkText = &conn.Error{Op: "readlink", Kind: conn.Protocol, Err: errors.New("a text that no local system could hold")}

// standing is where a link stands in the mount: the directory's path on the
// server, and whether it is seen below OutsideName.
type standing struct {
	dir     string // absolute, clean, made of real directories
	outside bool
}

// linkTexts translates the texts of symbolic links between the sandbox and the
// mount. The kernel resolves a text on the local machine, component by
// component, so the text alone decides what it reaches. Safe is what has ".."
// only at its beginning, no more of them than the link is deep: directories
// that the kernel went down through are no links, so it comes back up the way
// it came and never above the mount's root. Everything else is resolved here,
// as the sandbox would, and shown as such a text.
type linkTexts struct {
	root string // the directory on the server that is mounted
	// look says what is at a path on the server: the text where it is a link
	// (link true), and whether it is a directory. It is asked only for what
	// stands before a ".." in the middle of a text.
	look func(ctx context.Context, p string) (text string, link, dir bool, err error)
}

// show returns the text that the mount shows for a link that stands at.
func (l linkTexts) show(ctx context.Context, at standing, text string) (string, error) {
	if text == "" || len(text) > maxText || strings.IndexByte(text, 0) >= 0 {
		return "", errLinkText
	}
	if ups, ok := leadingUps(text); ok && ups <= l.stays(at) {
		return text, nil
	}
	target, err := l.resolve(ctx, at.dir, text)
	if err != nil {
		return "", err
	}
	shown := strings.Repeat("../", l.depth(at)) + l.inMount(target)
	if shown = strings.TrimSuffix(shown, "/"); shown == "" {
		shown = "."
	}
	if strings.HasSuffix(text, "/") {
		shown += "/"
	}
	if len(shown) > maxText {
		return "", errLinkText
	}
	return shown, nil
}

// store returns the text that the sandbox gets for a link made in the mount at:
// what leads into OutsideName means the sandbox's own absolute path, wherever
// the link was copied to, and what leads from there up to the mount's root
// means the mounted directory; all else is stored as it is.
func (l linkTexts) store(at standing, text string) string {
	ups, rest := 0, text
	for {
		next, ok := strings.CutPrefix(rest, "..")
		if !ok || next != "" && next[0] != '/' {
			break
		}
		rest = strings.TrimLeft(next, "/")
		ups++
	}
	after, hidden := strings.CutPrefix(rest, OutsideName)
	switch {
	case l.root == "/" || text == "":
		return text
	case hidden && after == "":
		return "/"
	case hidden && after[0] == '/':
		return after
	case at.outside && ups == l.depth(at):
		return strings.TrimSuffix(l.root+"/"+rest, "/")
	}
	return text
}

// leadingUps counts the ".." at the beginning of a relative text; ok is false
// where the text is absolute or has one further on.
func leadingUps(text string) (ups int, ok bool) {
	if text[0] == '/' {
		return 0, false
	}
	down := false
	for _, name := range strings.Split(text, "/") {
		switch {
		case name == "" || name == ".":
		case name != "..":
			down = true
		case down:
			return 0, false
		default:
			ups++
		}
	}
	return ups, true
}

// depth is how many directories at is below the mount's root.
func (l linkTexts) depth(at standing) int {
	if at.outside {
		return 1 + components(at.dir)
	}
	return components(at.dir) - components(l.root)
}

// stays is how many ".." lead from at to where they lead on the sandbox, too.
func (l linkTexts) stays(at standing) int {
	if at.outside {
		return components(at.dir) // above its "/" comes the mount's root
	}
	return l.depth(at)
}

func components(dir string) int {
	if dir == "/" {
		return 0
	}
	return strings.Count(dir, "/")
}

// inMount returns where a path on the server is found, relative to the mount's
// root.
func (l linkTexts) inMount(p string) string {
	if l.root == "/" {
		return p[1:]
	}
	if rest, ok := strings.CutPrefix(p, l.root); ok && (rest == "" || rest[0] == '/') {
		return strings.TrimPrefix(rest, "/")
	}
	return OutsideName + p
}

// resolve follows text from dir, a real directory with real ones above it, as
// far as its last "..", and returns the absolute path on the server that it
// means, with no ".." in it. Links in what remains are left to the kernel,
// which meets them one by one.
func (l linkTexts) resolve(ctx context.Context, dir, text string) (string, error) {
	r := resolver{linkTexts: l, links: maxLinks, looks: maxLooks}
	return r.resolve(ctx, dir, true, text)
}

type resolver struct {
	linkTexts
	links, looks int // that may still be followed, and asked for
}

// resolve is linkTexts.resolve; known says whether dir and all above it are
// real directories.
func (r *resolver) resolve(ctx context.Context, cur string, known bool, text string) (string, error) {
	if text[0] == '/' {
		cur = "/"
	}
	for _, name := range strings.Split(text, "/") {
		known = known || cur == "/"
		switch name {
		case "", ".":
		case "..":
			if !known {
				real, err := r.directory(ctx, cur)
				if err != nil {
					return "", err
				}
				if real == "" { // leads nowhere, and so does what is shown
					return path.Join(cur, nowhere), nil
				}
				cur = real
			}
			cur = path.Dir(cur)
		default:
			cur, known = path.Join(cur, name), false
		}
	}
	return cur, nil
}

// nowhere stands in a shown text for a ".." that the sandbox could not follow:
// what is before it is missing or no directory, so the kernel fails there as
// the sandbox would.
const nowhere = "..."

// directory returns the directory that p is or leads to, by a path whose last
// component is no link, "" where there is none. The directory above it is the
// one that the path without that component leads to.
func (r *resolver) directory(ctx context.Context, p string) (string, error) {
	for {
		if r.looks--; r.looks < 0 {
			return "", conn.LinkLoop
		}
		text, link, dir, err := r.look(ctx, p)
		switch {
		case err != nil:
			return "", err
		case dir:
			return p, nil
		case !link || text == "":
			return "", nil
		}
		if r.links--; r.links < 0 {
			return "", conn.LinkLoop
		}
		if p, err = r.resolve(ctx, path.Dir(p), false, text); err != nil {
			return "", err
		}
	}
}
