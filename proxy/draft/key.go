package draft

import (
	"encoding/binary"
	"hash/maphash"

	"rewatch/proxy/wire"
)

// magicCookie begins the branch of RFC 3261 elements, here in lower case.
const magicCookie = "z9hg4bk"

// TransactionKey hashes the fields that identify the transaction of a request (RFC 3261 16.11):
// the branch and sent-by of the neighbour and those that are the same in CANCEL and non-2xx
// ACK. Each process seeds the hash anew, so that nobody outside can cause collisions.
func (d *Draft) TransactionKey(side byte) uint64 {
	m, via := &d.Msg, &d.Via
	b := append(d.hash[:0], side)
	if len(via.Branch) > len(magicCookie) && wire.EqualFold(via.Branch[:len(magicCookie)], magicCookie) {
		b = append(b, via.Branch...)
		b = append(b, via.Host...)
		b = append(b, byte(via.Port)) //nolint:gosec // a part of it is enough
	} else {
		b = append(b, FirstValue(m, wire.Via)...)
		b = append(b, m.URI...)
	}
	n, _, _ := m.CSeqValue()
	b = binary.BigEndian.AppendUint32(b, n)
	id, _ := m.Value(wire.CallID)
	b = append(b, id...)
	fromValue, _ := m.Value(wire.From)
	b = append(b, wire.Tag(fromValue)...)
	d.hash = b
	if key := maphash.Bytes(d.Seed, b); key != 0 {
		return key
	}
	return 1 // zero means none
}

// LoopHash hashes the fields that decide where a request is sent: a request that comes again
// with the same hash would loop for ever. Its last bit says whether the request begins a
// dialog, for Branch.Begins. It is never set for an INVITE, whose ACK and CANCEL have the same
// hash.
func (d *Draft) LoopHash(side byte) uint32 {
	m := &d.Msg
	b := append(d.hash[:0], side)
	b = append(b, m.URI...)
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		b = append(b, ',')
		b = append(b, m.At(i)...)
	}
	id, _ := m.Value(wire.CallID)
	b = append(b, id...)
	n, _, _ := m.CSeqValue()
	b = binary.BigEndian.AppendUint32(b, n)
	d.hash = b
	hash := uint32(maphash.Bytes(d.Seed, b)) &^ 1 //nolint:gosec // a part of it is enough
	if d.RecordRouted() && string(m.Method) != "INVITE" {
		hash |= 1
	}
	return hash
}

// FirstValue is the first of the comma-separated values of a field.
func FirstValue(m *wire.Message, n wire.Name) []byte {
	v, _ := m.Value(n)
	v, _ = wire.Split(v)
	return v
}
