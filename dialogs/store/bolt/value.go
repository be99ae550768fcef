package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"rewatch/dialogs/store"
)

// version begins every value, so that a later form of it is told from damage.
const version = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// begin starts a value of which n bytes are to follow.
func begin(n int) []byte { return append(make([]byte, 0, 1+n+4), version) }

// seal adds the checksum to a value.
func seal(key string, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum([]byte(key), value))
}

// unseal takes version and checksum off again.
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

// checksum covers the key too, so that a value cannot pass for another's.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// A value is the version of a user, eight bytes, and the state.
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

// An entry is its end in Unix nanoseconds, 0 for none, and its value.
func encodeEntry(e store.Entry) []byte {
	until := int64(0)
	if !e.Until.IsZero() {
		until = e.Until.UnixNano()
	}
	value := binary.BigEndian.AppendUint64(begin(8+len(e.Value)), uint64(until)) // #nosec G115 -- and back
	return seal(e.Key, append(value, e.Value...))
}

// decodeEntry gives an entry whose value is its own.
func decodeEntry(kind store.Kind, key, value []byte) (store.Entry, error) {
	value, err := unseal(key, value)
	if err == nil && len(value) < 8 {
		err = ErrCorrupt
	}
	if err != nil {
		return store.Entry{}, fmt.Errorf("%s %q: %w", kind, key, err)
	}
	e := store.Entry{Kind: kind, Key: string(key), Value: append([]byte(nil), value[8:]...)}
	if until := int64(binary.BigEndian.Uint64(value)); until != 0 { // #nosec G115 -- as encodeEntry wrote it
		e.Until = time.Unix(0, until)
	}
	return e, nil
}
