package slab

// Index leads from the hash of a key to the slot of its first bearer: open
// addressing in one array without pointers, so that a look-up reads one cache line
// of memory and the garbage collector none. It knows 32 bits of a hash; keys that
// agree in those share a chain of slots, in which each is known by more.
type Index struct {
	places []place
	n      int
}

// place is empty where slot is 0.
type place struct{ tag, slot uint32 }

// firstPlaces is the size of an index that has its first entry; a power of two.
const firstPlaces = 16

// TagOf is the part of a hash that an index knows. The shard is chosen by other
// bits.
func TagOf(hash uint64) uint32 { return uint32(hash) } // #nosec G115 -- a part of it is enough

// Get gives the slot of a tag, or 0.
func (x *Index) Get(tag uint32) uint32 {
	if len(x.places) == 0 {
		return 0
	}
	return x.places[x.search(tag)].slot
}

// search gives the place of a tag, or the empty one where it belongs.
func (x *Index) search(tag uint32) uint32 {
	mask := uint32(len(x.places) - 1) // #nosec G115 -- below maxSlots
	i := tag & mask
	for x.places[i].slot != 0 && x.places[i].tag != tag {
		i = (i + 1) & mask
	}
	return i
}

// Set enters a tag, or gives it another slot.
func (x *Index) Set(tag, slot uint32) {
	if 4*(x.n+1) > 3*len(x.places) {
		x.grow()
	}
	i := x.search(tag)
	if x.places[i].slot == 0 {
		x.n++
	}
	x.places[i] = place{tag, slot}
}

func (x *Index) grow() {
	old := x.places
	x.places = make([]place, max(firstPlaces, 2*len(old)))
	for _, p := range old {
		if p.slot != 0 {
			x.places[x.search(p.tag)] = p
		}
	}
}

// drop removes a tag. Those behind it move up, so that a search needs no marks of
// what was there once.
func (x *Index) drop(tag uint32) {
	if len(x.places) == 0 {
		return
	}
	mask := uint32(len(x.places) - 1) // #nosec G115 -- below maxSlots
	hole := x.search(tag)
	if x.places[hole].slot == 0 {
		return
	}
	x.n--
	for i := (hole + 1) & mask; x.places[i].slot != 0; i = (i + 1) & mask {
		// It may move up if the hole is on the way from where it belongs.
		if home := x.places[i].tag & mask; (i-home)&mask >= (i-hole)&mask {
			x.places[hole] = x.places[i]
			hole = i
		}
	}
	x.places[hole] = place{}
}

// Len is the number of tags.
func (x *Index) Len() int { return x.n }

// Unchain takes a slot out of the chain of its tag, in which link leads from one
// slot to the next.
func Unchain[T any](x *Index, slots *Slab[T], tag, slot uint32, link func(*T) *uint32) {
	next := *link(slots.At(slot))
	at := x.Get(tag)
	switch {
	case at != slot:
		for before := link(slots.At(at)); ; before = link(slots.At(*before)) {
			if *before == slot {
				*before = next
				return
			}
		}
	case next != 0:
		x.Set(tag, next)
	default:
		x.drop(tag)
	}
}
