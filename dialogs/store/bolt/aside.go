package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Lost gives the new name of a state file that could not be read when the store was opened,
// and the reason; "" if the file could be read.
func (s *Store) Lost() (aside string, why error) { return s.aside, s.lost }

// moveAside renames a file that cannot be read, to a name with the time in it: a new file
// takes its place, and an operator can look at the old one.
func moveAside(path string) (string, error) {
	stem := path + ".unreadable-" + time.Now().UTC().Format("20060102T150405Z")
	aside := stem
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s-%d", stem, n)
	}
	if err := os.Rename(path, aside); err != nil {
		if e, ok := errors.AsType[*os.LinkError](err); ok {
			err = e.Err
		}
		return "", fmt.Errorf("it cannot be moved aside: %w", err)
	}
	return aside, nil
}

// words are in every state file: the key and the value of the magic, side by side.
var words = append(slices.Clip(magicKey), magic...)

// ours says whether a file that cannot be read was a state file: it begins like one, or has
// words somewhere, or has only zeros, which a file system leaves after a power cut.
func ours(f *os.File) bool {
	head := make([]byte, 64<<10+headerSize+4)
	n, _ := f.ReadAt(head, 0)
	head = head[:n]
	if n < headerSize+4 { // cut off in the header of page 0
		return bytes.HasPrefix([]byte{8: 4, headerSize - 1: 0}, head[:min(n, headerSize)])
	}
	for page := 0; page+headerSize+4 <= n; page = max(1<<10, 2*page) {
		if order.Uint32(head[page+headerSize:]) == boltMark {
			return true
		}
	}
	return hasWords(f)
}

// hasWords says whether a file contains words, or only zeros.
func hasWords(f *os.File) bool {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	zeros, chunk, kept := true, make([]byte, 1<<20), 0
	for {
		n, err := f.Read(chunk[kept:])
		have := chunk[:kept+n]
		if bytes.Contains(have, words) {
			return true
		}
		zeros = zeros && len(bytes.Trim(have, "\x00")) == 0
		if err != nil {
			return zeros && errors.Is(err, io.EOF)
		}
		kept = copy(chunk, have[max(0, len(have)-len(words)):])
	}
}
