package monitor

import (
	"encoding/binary"
	"errors"
	"math"

	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
)

// entryFormat is the first byte of every value that is written. firstFormat is that of
// versions without devices, and of registrations with one identity. A value of any other
// format cannot be read.
const (
	firstFormat = 1
	entryFormat = 2
)

var errEntry = errors.New("not an entry of this format")

// key names a subscription in the Journal.
func (s *subscription) key() string {
	return string(s.appendKey(make([]byte, 0, int(s.ends[textEvent])+texts)))
}

// appendKey appends what identifies a subscription, as ident.ID does: Call-ID, tags and event.
func (s *subscription) appendKey(b []byte) []byte {
	for i := textCallID; i <= textEvent; i++ {
		b = append(append(b, s.part(i)...), 0)
	}
	return b
}

// bit is 1<<i if b is true, else 0.
func bit(b bool, i int) byte {
	if b {
		return 1 << i
	}
	return 0
}

// appendSubscription appends the value of a subscription, with the neighbour that its user's
// last SUBSCRIBE came from.
func appendSubscription(b []byte, s *subscription, h hop) []byte {
	b = append(b, entryFormat, byte(s.phase),
		bit(s.fetch, 0)|bit(s.initial, 1)|bit(s.announced, 2)|bit(s.endTold, 3)|
			bit(s.emergency, 4)|bit(s.usedCSeq, 5)|bit(s.failed, 6)|bit(s.terminated, 7),
		bit(s.proven, 0)|bit(s.undelivered, 1))
	b = binary.AppendUvarint(b, s.birth)
	for _, n := range [...]int64{
		s.expires, s.until, int64(s.asked), int64(s.subscribeCSeq),
		int64(s.notifyCSeq), int64(s.terminatedCSeq), int64(s.failedCSeq),
		int64(s.acceptedCSeq), s.accepted, int64(s.signedOut),
	} {
		b = binary.AppendVarint(b, n)
	}
	b = appendHop(b, h)
	for i := range texts {
		b = appendText(b, s.part(i))
	}
	return b
}

func appendHop(b []byte, h hop) []byte {
	b = append(b, bit(h.known, 0), byte(h.transport))
	if h.known {
		b = binary.BigEndian.AppendUint16(append(b, h.addr[:]...), h.port)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// entryReader reads a value. After the first error bad is set, and it gives zeros.
type entryReader struct {
	b   []byte
	bad bool
}

func (r *entryReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return make([]byte, max(0, min(n, 16)))
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *entryReader) octet(most byte) byte {
	c := r.take(1)[0]
	r.bad = r.bad || c > most
	if r.bad {
		return 0
	}
	return c
}

func (r *entryReader) unsigned() uint64 {
	n, length := binary.Uvarint(r.b)
	if length <= 0 {
		length = -1
	}
	r.take(length)
	return n
}

func (r *entryReader) signed(least, most int64) int64 {
	n, length := binary.Varint(r.b)
	if length <= 0 || n < least || n > most {
		length = -1
	}
	r.take(length)
	if r.bad {
		return 0
	}
	return n
}

func (r *entryReader) cseq() uint32 { return uint32(r.signed(0, math.MaxUint32)) } // #nosec G115 -- bounded

func (r *entryReader) text() []byte {
	n := r.unsigned()
	if n > aor.MaxURI+ident.MaxCallID {
		r.bad = true
		return nil
	}
	return r.take(int(n)) // #nosec G115 -- bounded
}

func (r *entryReader) hop() (h hop) {
	h.known = r.octet(1) == 1
	h.transport = transport(r.octet(byte(overTLS)))
	if h.known {
		copy(h.addr[:], r.take(len(h.addr)))
		h.port = binary.BigEndian.Uint16(r.take(2))
	}
	return h
}

// readSubscription reads what appendSubscription wrote.
func readSubscription(value []byte) (s subscription, h hop, err error) {
	r := entryReader{b: value}
	format := r.octet(entryFormat)
	if format < firstFormat {
		return s, h, errEntry
	}
	s.phase = phase(r.octet(byte(dead)))
	bits := r.octet(math.MaxUint8)
	if format > firstFormat {
		more := r.octet(3)
		s.proven, s.undelivered = more&1 != 0, more&2 != 0
	}
	for i, b := range [...]*bool{
		&s.fetch, &s.initial, &s.announced, &s.endTold, &s.emergency, &s.usedCSeq, &s.failed, &s.terminated,
	} {
		*b = bits&(1<<i) != 0
	}
	s.birth = r.unsigned()
	s.expires, s.until = r.signed(0, math.MaxInt64), r.signed(0, math.MaxInt64)
	s.asked = int32(r.signed(-1, maxSeconds-1)) // #nosec G115 -- bounded
	s.subscribeCSeq, s.notifyCSeq, s.terminatedCSeq, s.failedCSeq = r.cseq(), r.cseq(), r.cseq(), r.cseq()
	known := texts
	if format > firstFormat {
		s.acceptedCSeq, s.accepted = r.cseq(), r.signed(0, math.MaxInt64)
		s.signedOut = signedOut(min(r.signed(0, math.MaxInt64), int64(hasSignedOut))) // no NOTIFY is open after a restart
	} else {
		known = textDevice
	}
	h = r.hop()
	var t textBuilder
	for i := range texts {
		if i < known {
			t.add(r.text())
		} else {
			t.addString("")
		}
	}
	s.text, s.ends = t.String(), t.ends
	if r.bad || len(r.b) > 0 || s.callID() == "" || s.event() == "" || s.watcher() == "" {
		return subscription{}, hop{}, errEntry
	}
	return s, h, nil
}

// appendRegistration appends the value of a registration.
func appendRegistration(b []byte, r *registration) []byte {
	format := byte(firstFormat)
	if r.identities != "" {
		format = entryFormat
	}
	b = append(b, format, bit(r.atServer, 0)|bit(r.emergency, 1))
	b = binary.AppendVarint(b, r.until)
	b = appendText(b, r.scscf)
	if format == entryFormat {
		b = appendText(b, r.identities)
	}
	return b
}

// readRegistration reads what appendRegistration wrote.
func readRegistration(value []byte) (registration, error) {
	r := entryReader{b: value}
	format := r.octet(entryFormat)
	if format < firstFormat {
		return registration{}, errEntry
	}
	bits := r.octet(3)
	reg := registration{atServer: bits&1 != 0, emergency: bits&2 != 0}
	reg.until = r.signed(1, math.MaxInt64)
	reg.scscf = string(r.text())
	if format == entryFormat {
		reg.identities = string(r.text())
		r.bad = r.bad || reg.identities == ""
	}
	if r.bad || len(r.b) > 0 {
		return registration{}, errEntry
	}
	return reg, nil
}
