package slab

// Slab keeps values of one type in chunks that never move, in slots that are numbered from 1.
// A free slot is used again before a new one.
type Slab[T any] struct {
	chunks [][]T
	free   []uint32
	used   uint32 // slots ever used
}

// ChunkBits: a chunk has 1<<ChunkBits slots. There are many small Slabs, so that long chunks
// would be mostly empty.
const ChunkBits = 6

// Take gives a slot. Its value is the one that it had at Give.
func (s *Slab[T]) Take() uint32 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	if int(s.used>>ChunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, 1<<ChunkBits))
	}
	s.used++
	return s.used
}

// Give frees a slot. Its value stays until it is used again.
func (s *Slab[T]) Give(slot uint32) { s.free = append(s.free, slot) }

// At gives the value of a slot.
func (s *Slab[T]) At(slot uint32) *T {
	slot--
	return &s.chunks[slot>>ChunkBits][slot&(1<<ChunkBits-1)]
}

// Count is the number of slots in use.
func (s *Slab[T]) Count() int { return int(s.used) - len(s.free) }

// Slots is the number of slots ever used: they are 1 to that.
func (s *Slab[T]) Slots() uint32 { return s.used }
