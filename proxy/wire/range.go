package wire

// AppendRange appends raw[from:to] with the edits that lie in it to dst. An
// insertion at to belongs to the next range, so that adjacent ranges share none; an edit across a
// border is in neither.
func (e *Edits) AppendRange(dst, raw []byte, from, to int) []byte {
	at := from
	for _, x := range e.list[:e.n] {
		if x.From < from || x.From >= to || x.To > to {
			continue
		}
		if x.From > at {
			dst = append(dst, raw[at:x.From]...)
			at = x.From
		}
		dst = append(dst, x.Text...)
		at = max(at, x.To)
	}
	return append(dst, raw[at:to]...)
}
