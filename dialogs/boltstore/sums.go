package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// sum tells whether a bucket has lost anything: how many items it has, and what their
// checksums add up to. A page of yesterday in the place of today's is whole in itself;
// only the sum tells the difference. It is kept in the header.
type sum struct{ items, checksums uint64 }

var errSum = errors.New("something is missing")

// sumPrefix begins the keys of the sums in the header.
const sumPrefix = "sum of "

func sumKey(bucket string) []byte { return []byte(sumPrefix + bucket) }

// add and remove take an item into the sum, or out of it; nil is none.
func (s *sum) add(value []byte) {
	if len(value) >= 4 {
		s.items++
		s.checksums += uint64(binary.BigEndian.Uint32(value[len(value)-4:]))
	}
}

func (s *sum) remove(value []byte) {
	if len(value) >= 4 {
		s.items--
		s.checksums -= uint64(binary.BigEndian.Uint32(value[len(value)-4:]))
	}
}

func encodeSum(bucket string, s sum) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 20), s.items)
	return seal(string(sumKey(bucket)), binary.BigEndian.AppendUint64(b, s.checksums))
}

func decodeSum(bucket string, value []byte) (sum, error) {
	value, err := unseal(sumKey(bucket), value)
	if err != nil || len(value) != 16 {
		return sum{}, fmt.Errorf("sum of %s: %w", bucket, errDamaged)
	}
	return sum{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])}, nil
}

// summed is a bucket whose sum is kept up to date.
type summed struct {
	*bbolt.Bucket
	name   string
	header *bbolt.Bucket
	sum    sum
}

// openBucket opens a bucket to be written to, and makes it if it is not there.
func openBucket(tx *bbolt.Tx, name []byte) (*summed, error) {
	s := &summed{name: string(name), header: tx.Bucket(headerBucket)}
	if s.header == nil {
		return nil, ErrCorrupt
	}
	if s.Bucket = tx.Bucket(name); s.Bucket != nil {
		var err error
		s.sum, err = decodeSum(s.name, s.header.Get(sumKey(s.name)))
		return s, err
	}
	var err error
	s.Bucket, err = tx.CreateBucket(name)
	return s, err
}

// set puts a value, or deletes what is there; nil is none.
func (s *summed) set(key string, value []byte) error {
	k := []byte(key)
	s.sum.remove(s.Get(k))
	s.sum.add(value)
	if value == nil {
		return s.Delete(k)
	}
	return s.Put(k, value)
}

// close writes the sum.
func (s *summed) close() error { return s.header.Put(sumKey(s.name), encodeSum(s.name, s.sum)) }
