package datagram

const (
	// maxSegment is the largest datagram that is sent in one piece with others: with its
	// headers it fits the links of pods, because none of them may be fragmented. maxSegmented is
	// the most that the kernel accepts in one piece.
	maxSegment   = 1400
	maxSegmented = 60000
)

// size is the length of datagram i.
func (o *Outbox) size(i int) int {
	if i == 0 {
		return o.ends[0]
	}
	return o.ends[i] - o.ends[i-1]
}

// segments tells how many datagrams from first on can be sent in one piece, and the length of that
// piece: they have one destination and one source address, and all have the same length but the
// last, which may be shorter.
func (o *Outbox) segments(first int) (count, length int) {
	size := o.size(first)
	count, length = 1, size
	if size > maxSegment || size == 0 {
		return count, length
	}
	for i := first + 1; i < len(o.ends) && o.to[i] == o.to[first] && o.from[i] == o.from[first]; i++ {
		next := o.size(i)
		if next > size || next == 0 || length+next > maxSegmented {
			break
		}
		count++
		length += next
		if next < size {
			break
		}
	}
	return count, length
}
