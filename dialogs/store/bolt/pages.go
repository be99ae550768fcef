package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The layout of a page of bbolt: a header of id, flags, count and overflow, then the
// elements, then the keys and values that the elements point to, one after the other.
// An element of a branch leads to a further page; a value may be a bucket, which has a
// tree of its own or is a small page itself.
const (
	boltMark    = 0xED0CDAED // of the first two pages
	headerSize  = 16
	elementSize = 16
	bucketSize  = 16 // root page, sequence

	flagBranch, flagLeaf = 0x01, 0x02
	flagBucket           = 0x01 // of an element of a leaf
)

// order is that of the machine: bbolt writes its structures as they lie in memory.
var order = binary.NativeEndian

// pages checks that bbolt can read a file: every page that is referred to exists, is
// referred to once, and has its elements in order. The values have checksums of their own.
//
// # Why
//
// bbolt checks a file when it opens it, but in goroutines of its own, where a panic ends the
// process: upon a page number outside the file or in a circle, or a key out of order.
type pages struct {
	file  io.ReaderAt
	size  uint64 // of a page
	count uint64
	seen  map[uint64]bool
}

// walk checks a page and the pages below it. Its keys have to be in [least, most).
func (p *pages) walk(id uint64, least, most []byte) error {
	head := make([]byte, headerSize)
	if id < 2 || id >= p.count {
		return fmt.Errorf("there is no page %d", id)
	}
	if err := p.read(head, id); err != nil {
		return err
	}
	overflow := uint64(order.Uint32(head[12:]))
	if order.Uint64(head) != id || overflow >= p.count-id {
		return fmt.Errorf("page %d is not what was written", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.seen[i] {
			return fmt.Errorf("page %d is referred to twice", i)
		}
		p.seen[i] = true
	}
	data := make([]byte, (1+overflow)*p.size)
	if err := p.read(data, id); err != nil {
		return err
	}
	if err := p.follow(data, least, most); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) read(into []byte, id uint64) error {
	if _, err := p.file.ReadAt(into, int64(id*p.size)); err != nil { // #nosec G115 -- within the file
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// element is a key with its value, or with the page that has the keys from it on.
type element struct {
	key, value []byte
	child      uint64
	isBucket   bool
}

// follow checks the elements of a page, and the pages and buckets below them.
func (p *pages) follow(data []byte, least, most []byte) error {
	elements, err := split(data)
	if err != nil {
		return err
	}
	for i, e := range elements {
		next := most
		if i+1 < len(elements) {
			next = elements[i+1].key
		}
		switch {
		case len(e.key) == 0, bytes.Compare(e.key, least) < 0, next != nil && bytes.Compare(e.key, next) >= 0:
			return ErrCorrupt
		case e.isBucket:
			err = p.bucket(e.value)
		case e.child != 0:
			err = p.walk(e.child, e.key, next)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// split gives the elements of a page. The keys and values lie one after the other, and only
// zeros follow them.
func split(data []byte) ([]element, error) {
	flags, count := order.Uint16(data[8:]), int(order.Uint16(data[10:]))
	end := headerSize + count*elementSize
	if flags != flagBranch && flags != flagLeaf || end > len(data) || flags == flagBranch && count == 0 {
		return nil, ErrCorrupt
	}
	elements := make([]element, count)
	for i := range elements {
		at := headerSize + i*elementSize
		b, e := data[at:], &elements[i]
		position, key, value := order.Uint32(b), order.Uint32(b[4:]), uint32(0)
		if flags == flagBranch {
			e.child = order.Uint64(b[8:])
		} else {
			e.isBucket = position == flagBucket
			if position > flagBucket {
				return nil, ErrCorrupt
			}
			position, key, value = order.Uint32(b[4:]), order.Uint32(b[8:]), order.Uint32(b[12:])
		}
		if uint64(at)+uint64(position) != uint64(end) || uint64(key)+uint64(value) > uint64(len(data)-end) { // #nosec G115 -- lengths
			return nil, ErrCorrupt
		}
		e.key = data[end : end+int(key)]
		e.value = data[end+int(key) : end+int(key)+int(value)]
		end += int(key) + int(value)
		if flags == flagBranch && e.child == 0 {
			return nil, ErrCorrupt
		}
	}
	if len(bytes.Trim(data[end:], "\x00")) > 0 { // the count was greater
		return nil, ErrCorrupt
	}
	return elements, nil
}

// bucket checks the tree of a bucket, or the one page that is its value.
func (p *pages) bucket(value []byte) error {
	switch {
	case len(value) < bucketSize:
		return ErrCorrupt
	case order.Uint64(value) != 0:
		return p.walk(order.Uint64(value), nil, nil)
	case len(value) < bucketSize+headerSize:
		return ErrCorrupt
	}
	return p.follow(value[bucketSize:], nil, nil)
}
