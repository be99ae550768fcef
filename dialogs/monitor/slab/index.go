package slab

// Index maps the hash of a key to a slot: a hash table with open addressing in one array
// without pointers, so that a look-up reads one cache line, and the garbage collector none.
// It uses 32 bits of a hash (the tag). Records with the same tag are a chain of slots, which
// begins with the slot in the Index.
type Index struct {
	places []place
	n      int
}

// place is empty where slot is 0.
type place struct{ tag, slot uint32 }

// firstPlaces is the size of an Index after its first entry; a power of two.
const firstPlaces = 16

// TagOf is the tag of a hash. The shard is chosen by other bits.
func TagOf(hash uint64) uint32 { return uint32(hash) } // #nosec G115 -- a part of it is enough

// Get gives the slot of a tag, or 0.
func (x *Index) Get(tag uint32) uint32 {
	if len(x.places) == 0 {
		return 0
	}
	return x.places[x.search(tag)].slot
}

// search gives the place of a tag, or the empty place where it belongs.
func (x *Index) search(tag uint32) uint32 {
	mask := uint32(len(x.places) - 1) // #nosec G115 -- below maxSlots
	i := tag & mask
	for x.places[i].slot != 0 && x.places[i].tag != tag {
		i = (i + 1) & mask
	}
	return i
}

// Set sets the slot of a tag.
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

// drop removes a tag. Later tags move up, so that no place has to be marked as deleted.
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
		// A tag may move up if the hole is between its home and its place.
		if home := x.places[i].tag & mask; (i-home)&mask >= (i-hole)&mask {
			x.places[hole] = x.places[i]
			hole = i
		}
	}
	x.places[hole] = place{}
}

// Len is the number of tags.
func (x *Index) Len() int { return x.n }

// Unchain removes a slot from the chain of its tag. link gives the field of a record that has
// the next slot of the chain.
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
