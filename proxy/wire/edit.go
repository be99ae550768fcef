package wire

// Edit replaces Raw[From:To] by Text.
type Edit struct {
	From, To int
	Text     []byte
}

// MaxEdits is how many edits one message can get: two Record-Routes, a Via, its
// parameters, Max-Forwards, Request-URI, some Route values.
const MaxEdits = 24

// Edits is a list of edits over one message, in any order; edits at the same
// offset are applied in the order in which they were added. The texts have to stay valid until
// AppendTo returns. The zero Edits is empty.
type Edits struct {
	list [MaxEdits]Edit
	n    int
}

// Reset empties the list.
func (e *Edits) Reset() { e.n = 0 }

// Insert puts text before offset at.
func (e *Edits) Insert(at int, text []byte) { e.Replace(at, at, text) }

// Delete removes Raw[from:to]. A deletion that begins where the last one ended is joined to it: so
// any number of adjacent fields is one edit.
func (e *Edits) Delete(from, to int) {
	if e.n > 0 {
		if last := &e.list[e.n-1]; last.To == from && last.From < from && last.Text == nil {
			last.To = to
			return
		}
	}
	e.Replace(from, to, nil)
}

// Replace puts text in the place of Raw[from:to]. Of a full list nothing comes: whoever may need
// many edits asks for Room first.
func (e *Edits) Replace(from, to int, text []byte) {
	if e.n == MaxEdits {
		return
	}
	i := e.n
	for ; i > 0 && e.list[i-1].From > from; i-- {
		e.list[i] = e.list[i-1]
	}
	e.list[i] = Edit{from, to, text}
	e.n++
}

// Room is how many more edits can be added.
func (e *Edits) Room() int { return MaxEdits - e.n }

// Delta is by how many bytes the message grows.
func (e *Edits) Delta() int {
	d, at := 0, 0
	for _, x := range e.list[:e.n] {
		d += len(x.Text)
		if x.To > at {
			d -= x.To - max(at, x.From)
			at = x.To
		}
	}
	return d
}

// AppendTo appends raw with all edits to dst. Overlapping deletions are joined.
func (e *Edits) AppendTo(dst, raw []byte) []byte {
	at := 0
	for _, x := range e.list[:e.n] {
		if x.From > at {
			dst = append(dst, raw[at:x.From]...)
			at = x.From
		}
		dst = append(dst, x.Text...)
		if x.To > at {
			at = x.To
		}
	}
	return append(dst, raw[at:]...)
}
