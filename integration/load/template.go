package load

import (
	"bytes"
	"fmt"
	"strings"
)

// transaction is all that distinguishes one message from another of its kind.
type transaction struct {
	seq    uint64 // number of the transaction, in its branch
	dialog uint32
	cseq   uint32
	more   uint16 // filler, which makes messages differ in length
}

// field is a part of a template that differs from message to message. Its width
// is fixed, so that it can be written over the text.
type field struct {
	name  string
	width int
	put   func(dst []byte, t transaction)
}

// maxUsers is how many users there may be. Dialogs whose numbers differ by a multiple of
// it are of one user, one after the other.
const maxUsers = 1 << 23

// Identifiers are made from the number of the dialog by a hash, so they look
// random to every table and nothing has to be remembered of a million dialogs.
var fields = []field{
	{"{seq}", 12, func(b []byte, t transaction) { putHex(b, t.seq) }},
	{"{call}", 16, func(b []byte, t transaction) { putHex(b, mix(uint64(t.dialog))) }},
	{"{wtag}", 10, func(b []byte, t transaction) { putHex(b, mix(uint64(t.dialog)+1<<40)) }},
	{"{ptag}", 10, func(b []byte, t transaction) { putHex(b, mix(uint64(t.dialog)+2<<40)) }},
	{"{user}", 7, func(b []byte, t transaction) { putDec(b, uint64(t.dialog%maxUsers)) }},
	{"{cseq}", 7, func(b []byte, t transaction) { putDec(b, uint64(t.cseq)) }},
}

type slot struct {
	at    int
	field int
}

// template is a text with slots for fields, and a place for filler.
type template struct {
	text   []byte
	slots  []slot
	filler int // where it goes; 0: nowhere
}

// fillerMark is that place in a source, maxFiller the most that fits there.
const (
	fillerMark = "{filler}"
	maxFiller  = 1024
)

var filler = bytes.Repeat([]byte{'x'}, maxFiller)

// compile reads a text whose fields are named in braces. Lines end with LF in
// the source and with CRLF in the message.
func compile(text string) template {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	var t template
	for len(text) > 0 {
		i, f := nextField(text)
		if at := strings.Index(text, fillerMark); at >= 0 && at < i {
			t.text = append(t.text, text[:at]...)
			t.filler = len(t.text)
			text = text[at+len(fillerMark):]
			continue
		}
		if f < 0 {
			t.text = append(t.text, text...)
			break
		}
		t.text = append(t.text, text[:i]...)
		t.slots = append(t.slots, slot{len(t.text), f})
		t.text = append(t.text, bytes.Repeat([]byte{'0'}, fields[f].width)...)
		text = text[i+len(fields[f].name):]
	}
	return t
}

func nextField(text string) (at, which int) {
	at, which = len(text), -1
	for f := range fields {
		if i := strings.Index(text, fields[f].name); i >= 0 && i < at {
			at, which = i, f
		}
	}
	return at, which
}

// appendTo appends the message for t.
func (p *template) appendTo(dst []byte, t transaction) []byte {
	base, more := len(dst), 0
	if p.filler > 0 {
		more = int(t.more)
	}
	dst = append(dst, p.text[:p.filler]...)
	dst = append(dst, filler[:more]...)
	dst = append(dst, p.text[p.filler:]...)
	for _, s := range p.slots {
		f, at := &fields[s.field], base+s.at
		if s.at >= p.filler {
			at += more
		}
		f.put(dst[at:at+f.width], t)
	}
	return dst
}

// mix is the finaliser of SplitMix64: neighbours become unlike.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const hexDigits = "0123456789abcdef"

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = hexDigits[v&15]
		v >>= 4
	}
}

func putDec(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

// branchMark begins every branch of ours; the number of the transaction follows.
const branchMark = "z9hG4bKld"

const seqWidth = 12

// seqIn reads the number of the transaction from a Via of ours.
func seqIn(via []byte) (uint64, bool) {
	i := bytes.Index(via, []byte(branchMark))
	if i < 0 || len(via) < i+len(branchMark)+seqWidth {
		return 0, false
	}
	return parseHex(via[i+len(branchMark):][:seqWidth])
}

func parseHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

// Kind is the work that a transaction does.
type Kind uint8

// The kinds of work.
const (
	Notify    Kind = iota // an in-dialog NOTIFY from the server to a phone
	Subscribe             // a SUBSCRIBE that creates a dialog
	Register              // a third-party REGISTER
	kinds
)

func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("kind %d", k)
	}
	return [...]string{"NOTIFY", "SUBSCRIBE", "REGISTER"}[k]
}
