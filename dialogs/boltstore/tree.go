package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// A damaged page makes bbolt panic in a goroutine of its own, or touch memory that
// is not there, and either ends the process. So the file is read here first, page by
// page, and nothing in it is believed.
//
// A bbolt file begins with two meta pages that are written in turn. The newer one
// names the root page of the tree; a page is a branch, whose elements name further
// pages, or a leaf, whose elements are keys and values. The value of a bucket is the
// root page of a tree of its own, or a small leaf page itself.
const (
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	smallestPage = 1 << 10
	greatestPage = 64 << 10

	headerSize  = 16 // of a page: id, flags, count, overflow
	elementSize = 16 // of a branch or a leaf
	metaSize    = 64
	bucketSize  = 16 // root page, sequence

	flagBranch, flagLeaf, flagMeta, flagFreelist = 0x01, 0x02, 0x04, 0x10

	noFreelist = math.MaxUint64
)

// order is that of the machine: bbolt writes its structures as they lie in memory.
var order = binary.NativeEndian

// page is one page with those that overflow from it.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
	data     []byte // all of it, header included
}

func parsePage(data []byte) page {
	return page{
		id: order.Uint64(data), flags: order.Uint16(data[8:]), count: int(order.Uint16(data[10:])),
		overflow: uint64(order.Uint32(data[12:])), data: data,
	}
}

// meta is one of the first two pages.
type meta struct {
	size, pages, root, freelist, txid uint64
}

func isMeta(data []byte) bool {
	return len(data) >= headerSize+metaSize && order.Uint32(data[headerSize:]) == boltMagic
}

// parseMeta reads a page that isMeta.
func parseMeta(data []byte) (meta, error) {
	b := data[headerSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	if order.Uint64(b[metaSize-8:]) != sum.Sum64() || order.Uint32(b[4:]) != boltVersion {
		return meta{}, errors.New("a meta page is not what was written")
	}
	return meta{
		size: uint64(order.Uint32(b[8:])), root: order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}, nil
}

// tree is a file that is being read.
type tree struct {
	file io.ReaderAt
	meta
	seen []uint64 // a bit for each page
	// buckets are what the root tree has, by their names.
	buckets map[string][]byte
}

// openTree reads what a file of this length begins with, and which buckets it has. A
// file that is none of bbolt's is ErrForeign; any other error tells what is damaged.
func openTree(file io.ReaderAt, length int64) (*tree, error) {
	m, err := readMetas(file, length)
	if err != nil {
		return nil, err
	}
	t := &tree{file: file, meta: m, seen: make([]uint64, m.pages/64+1), buckets: make(map[string][]byte)}
	if err := t.freelistPage(); err != nil {
		return nil, err
	}
	err = t.walk(t.root, nil, nil, func(e element) error {
		if !e.isBucket {
			return fmt.Errorf("%q is not where it was written", e.key)
		}
		t.buckets[string(e.key)] = e.value
		return nil
	})
	return t, err
}

// each reads a bucket, if there is one of this name.
func (t *tree) each(name string, item func(key, value []byte) error) error {
	value, ok := t.buckets[name]
	if !ok {
		return nil
	}
	wrong := fmt.Errorf("bucket %q is not what was written", name)
	give := func(e element) error {
		if e.isBucket {
			return wrong
		}
		return item(e.key, e.value)
	}
	if len(value) < bucketSize || order.Uint64(value[8:]) != 0 { // we count nothing in it
		return wrong
	}
	if root := order.Uint64(value); root != 0 {
		return t.walk(root, nil, nil, give)
	}
	if len(value) < bucketSize+headerSize {
		return wrong
	}
	p := parsePage(value[bucketSize:])
	if p.id != 0 || p.flags != flagLeaf || p.overflow != 0 {
		return wrong
	}
	return p.each(nil, nil, give)
}

// readMetas gives the newer of the first two pages. Both have to be whole: they are
// written one at a time, each in one piece.
func readMetas(file io.ReaderAt, length int64) (meta, error) {
	head := make([]byte, 2*greatestPage)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return meta{}, err
	}
	head = head[:n]
	if !isMeta(head) {
		for size := smallestPage; size <= greatestPage && size < n; size *= 2 {
			if isMeta(head[size:]) {
				return meta{}, errors.New("page 0 is no meta page")
			}
		}
		return meta{}, ErrForeign
	}
	first, err := parseMeta(head)
	if err != nil {
		return meta{}, err
	}
	size := int(first.size) // #nosec G115 -- 32 bits
	if size < smallestPage || size > greatestPage || size&(size-1) != 0 || n < 2*size || !isMeta(head[size:]) {
		return meta{}, errors.New("page 1 is no meta page")
	}
	second, err := parseMeta(head[size:])
	if err != nil {
		return meta{}, err
	}
	for i := range 2 {
		if p := parsePage(head[i*size : (i+1)*size]); p.id != uint64(i) || p.flags != flagMeta || p.count != 0 || // #nosec G115 -- 0 or 1
			p.overflow != 0 || !zero(p.data[headerSize+metaSize:]) {
			return meta{}, fmt.Errorf("page %d is not what was written", i)
		}
	}
	m, older := first, second
	if second.txid > first.txid {
		m, older = second, first
	}
	switch {
	case m.txid != older.txid+1 || m.size != older.size || first.txid%2 != 0:
		return meta{}, errors.New("the meta pages do not belong together")
	case m.pages > uint64(length)/m.size: // #nosec G115 -- a length
		return meta{}, fmt.Errorf("%d bytes where %d were written", length, m.pages*m.size)
	}
	return m, nil
}

// take reads a page that nothing else refers to, with all that overflows from it.
func (t *tree) take(id uint64) (page, error) {
	if id < 2 || id >= t.pages {
		return page{}, fmt.Errorf("there is no page %d", id)
	}
	head := make([]byte, headerSize)
	if err := t.read(head, id); err != nil {
		return page{}, err
	}
	p := parsePage(head)
	if p.id != id || p.overflow >= t.pages-id {
		return page{}, fmt.Errorf("page %d is not what was written", id)
	}
	for i := id; i <= id+p.overflow; i++ {
		if t.seen[i/64]&(1<<(i%64)) != 0 {
			return page{}, fmt.Errorf("page %d has two places", i)
		}
		t.seen[i/64] |= 1 << (i % 64)
	}
	p.data = make([]byte, (1+p.overflow)*t.size)
	return p, t.read(p.data, id)
}

func (t *tree) read(into []byte, id uint64) error {
	if _, err := t.file.ReadAt(into, int64(id*t.size)); err != nil { // #nosec G115 -- within the file
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// freelistPage looks at the list of free pages, if the file has one: ours has not.
func (t *tree) freelistPage() error {
	if t.freelist == noFreelist {
		return nil
	}
	p, err := t.take(t.freelist)
	if err != nil {
		return err
	}
	ids, n := p.data[headerSize:], p.count
	if n == math.MaxUint16 {
		n = int(min(order.Uint64(ids), uint64(len(p.data)))) // #nosec G115 -- bounded
		ids = ids[8:]
	}
	if p.flags != flagFreelist || n > len(ids)/8 {
		return fmt.Errorf("page %d is no list of free pages", p.id)
	}
	for i := range n {
		if id := order.Uint64(ids[8*i:]); id < 2 || id >= t.pages {
			return fmt.Errorf("page %d lists a page that there is not", p.id)
		}
	}
	return nil
}

// walk reads the tree below a page, whose keys are to lie between least and most.
func (t *tree) walk(id uint64, least, most []byte, item func(element) error) error {
	p, err := t.take(id)
	if err != nil {
		return err
	}
	if p.flags == flagLeaf {
		return p.each(least, most, item)
	}
	if p.flags != flagBranch || p.count == 0 {
		return fmt.Errorf("page %d is not what was written", id)
	}
	elements, err := p.elements(least, most)
	if err != nil {
		return err
	}
	for i, e := range elements {
		next := most
		if i+1 < len(elements) {
			next = elements[i+1].key
		}
		if err := t.walk(e.child, e.key, next, item); err != nil {
			return err
		}
	}
	return nil
}

// each gives the elements of a leaf.
func (p *page) each(least, most []byte, item func(element) error) error {
	elements, err := p.elements(least, most)
	if err != nil {
		return err
	}
	for _, e := range elements {
		if err := item(e); err != nil {
			return err
		}
	}
	return nil
}

// element is a key with its value, or with the page that has the keys from it on.
type element struct {
	key, value []byte
	child      uint64
	isBucket   bool
}

// elements takes a page apart. They lie one after the other, in the order of their
// keys, and nothing is behind them.
func (p *page) elements(least, most []byte) ([]element, error) {
	wrong := fmt.Errorf("page %d is not what was written", p.id)
	end := headerSize + p.count*elementSize
	if end > len(p.data) {
		return nil, wrong
	}
	all := make([]element, 0, p.count)
	for i := range p.count {
		e, from, lengths := p.element(headerSize + i*elementSize)
		if from != end || lengths[0] < 1 || lengths[1] < 0 || lengths[0]+lengths[1] > len(p.data)-end {
			return nil, wrong
		}
		e.key = p.data[end : end+lengths[0]]
		end += lengths[0]
		e.value = p.data[end : end+lengths[1]]
		end += lengths[1]
		switch {
		case i > 0 && bytes.Compare(all[i-1].key, e.key) >= 0,
			bytes.Compare(e.key, least) < 0,
			most != nil && bytes.Compare(e.key, most) >= 0:
			return nil, fmt.Errorf("page %d: %q is not where it was written", p.id, e.key)
		}
		all = append(all, e)
	}
	if !zero(p.data[end:]) {
		return nil, wrong
	}
	return all, nil
}

// element reads what stands at an offset: where its key begins, and how long key and
// value are.
func (p *page) element(at int) (e element, from int, lengths [2]int) {
	b := p.data[at:]
	if p.flags == flagBranch {
		e.child = order.Uint64(b[8:])
		return e, at + int(order.Uint32(b)), [2]int{int(order.Uint32(b[4:])), 0}
	}
	kind := order.Uint32(b)
	e.isBucket = kind == 1
	if kind > 1 {
		return e, 0, lengths // which is nowhere
	}
	return e, at + int(order.Uint32(b[4:])), [2]int{int(order.Uint32(b[8:])), int(order.Uint32(b[12:]))}
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
