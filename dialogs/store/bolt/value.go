package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"rewatch/dialogs/store"
)

// version is the first byte of every value: it tells a later format from damage.
const version = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// begin starts a value with room for n more bytes and the checksum.
func begin(n int) []byte { return append(make([]byte, 0, 1+n+4), version) }

// seal appends the checksum to a value.
func seal(key string, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum([]byte(key), value))
}

// unseal checks the version and the checksum of a value, and removes them.
func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - 4
	switch {
	case n < 1 || binary.BigEndian.Uint32(value[n:]) != checksum(key, value[:n]):
		return nil, ErrCorrupt
	case value[0] != version:
		return nil, fmt.Errorf("%w (version %d of a value, this one writes %d)", ErrFormat, value[0], version)
	}
	return value[1:n], nil
}

// checksum covers the key as well, so that the value of another key is not taken for this one's.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// encodeRecord makes the value of a user: the version of its record, eight bytes, and the state.
func encodeRecord(r store.Record) ([]byte, error) {
	state, err := store.EncodeState(r.State)
	if err != nil {
		return nil, err
	}
	value := binary.BigEndian.AppendUint64(begin(8+len(state)), r.Version)
	return seal(r.AOR, append(value, state...)), nil
}

func decodeRecord(key, value []byte) (store.Record, error) {
	value, err := unseal(key, value)
	if err != nil {
		return store.Record{}, fmt.Errorf("user %q: %w", key, err)
	}
	if len(value) < 8 {
		return store.Record{}, fmt.Errorf("user %q: %w", key, ErrCorrupt)
	}
	state, err := store.DecodeState(value[8:])
	if err != nil {
		return store.Record{}, fmt.Errorf("user %q: %w", key, damaged(err))
	}
	return store.Record{AOR: string(key), Version: binary.BigEndian.Uint64(value), State: state}, nil
}

func encodeEntry(e store.Entry) []byte {
	return seal(e.Key, store.AppendEntry(begin(8+len(e.Value)), e))
}

func decodeEntry(kind store.Kind, key, value []byte) (store.Entry, error) {
	value, err := unseal(key, value)
	if err != nil {
		return store.Entry{}, fmt.Errorf("%s %q: %w", kind, key, err)
	}
	e, ok := store.ReadEntry(kind, string(key), value)
	if !ok {
		return store.Entry{}, fmt.Errorf("%s %q: %w", kind, key, ErrCorrupt)
	}
	return e, nil
}
