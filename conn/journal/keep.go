package journal

import "errors"

// Bytes are some of a file's that were not delivered.
type Bytes struct {
	Path string // on the server
	Off  int64
	Data []byte
}

// keptPiece bounds a record's bytes: a frame holds four times as much.
const keptPiece = 1 << 20

// Keep writes what a mount without a journal gives up, for Extract: a file in
// dir, whose path it returns. It is never delivered by itself.
func Keep(dir, name, of string, all []Bytes) (string, error) {
	var records []record
	for _, b := range all {
		for len(b.Data) > 0 {
			n := min(len(b.Data), keptPiece)
			records = append(records, record{Op: opWrite, Path: []byte(b.Path), Off: b.Off, Data: b.Data[:n]})
			b.Off, b.Data = b.Off+int64(n), b.Data[n:]
		}
	}
	if len(records) == 0 {
		return "", errors.New("nothing to keep")
	}
	return writeKept(journalPath(dir, name), identity(of), records)
}
