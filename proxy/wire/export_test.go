package wire

// Pop removes the first n values of that name, whether they stand in one field or
// in several, and tells how many there were. A field that loses all its values
// goes as a whole; a comma with nothing in front of it counts for nothing.
func (e *Edits) Pop(m *Message, name Name, n int) int {
	popped := 0
	for i := m.First(name); i >= 0 && popped < n; i = m.Next(i) {
		l, at := m.Lines[i], m.Lines[i].Value
		for at < l.ValueEnd && popped < n {
			first, next := Split(m.Raw[at:l.ValueEnd])
			if len(first) > 0 {
				popped++
			}
			if at += next; next < 0 {
				at = l.ValueEnd
			}
		}
		if at < l.ValueEnd {
			e.Delete(l.Value, at)
		} else {
			e.Delete(l.Start, l.End)
		}
	}
	return popped
}
