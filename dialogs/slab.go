package dialogs

// slab keeps values of one kind in chunks that never move, and names them by
// slot numbers from 1. Growing copies nothing, and a free slot is used again
// before a new one.
type slab[T any] struct {
	chunks [][]T
	free   []uint32
	used   uint32 // slots ever given out
}

const chunkBits = 8

// take gives a slot; its value is what the last owner left.
func (s *slab[T]) take() uint32 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	if int(s.used>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, 1<<chunkBits))
	}
	s.used++
	return s.used
}

// give takes a slot back; what is in it stays until it is used again.
func (s *slab[T]) give(slot uint32) { s.free = append(s.free, slot) }

// at gives the value of a slot that was given out.
func (s *slab[T]) at(slot uint32) *T {
	slot--
	return &s.chunks[slot>>chunkBits][slot&(1<<chunkBits-1)]
}

// count is the number of slots in use.
func (s *slab[T]) count() int { return int(s.used) - len(s.free) }

// slots is the number of slots ever given out: they are 1 to that.
func (s *slab[T]) slots() uint32 { return s.used }
