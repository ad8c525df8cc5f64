package fake

// pageSize is the grain in which sparse keeps bytes: large enough for long
// files, small enough for many.
const pageSize = 64 << 10

// sparse is a file's content with holes, so that a test may make a file of
// many gigabytes.
type sparse struct {
	size  int64
	pages map[int64][]byte
}

func (s *sparse) writeAt(p []byte, off int64) {
	if s.pages == nil {
		s.pages = map[int64][]byte{}
	}
	s.size = max(s.size, off+int64(len(p)))
	for len(p) > 0 {
		page, ok := s.pages[off/pageSize]
		if at := int(off % pageSize); !ok || len(page) < min(pageSize, at+len(p)) {
			page = append(page, make([]byte, min(pageSize, at+len(p))-len(page))...)
			s.pages[off/pageSize] = page
		}
		n := copy(page[off%pageSize:], p)
		p, off = p[n:], off+int64(n)
	}
}

// readAt fills p as far as the file goes and returns the bytes read.
func (s *sparse) readAt(p []byte, off int64) int {
	if off >= s.size {
		return 0
	}
	p = p[:min(int64(len(p)), s.size-off)]
	total := len(p)
	for len(p) > 0 {
		page, at := s.pages[off/pageSize], int(off%pageSize)
		n := min(len(p), pageSize-at)
		clear(p[:n])
		if at < len(page) {
			copy(p[:n], page[at:])
		}
		p, off = p[n:], off+int64(n)
	}
	return total
}

func (s *sparse) truncate(size int64) {
	for i, page := range s.pages {
		switch start := i * pageSize; {
		case start >= size:
			delete(s.pages, i)
		case start+int64(len(page)) > size:
			s.pages[i] = page[: size-start : size-start]
		}
	}
	s.size = size
}
