// Package slab keeps millions of small records so that neither growing copies them nor
// the garbage collector reads them: in chunks that never move, found by an index without
// pointers.
package slab
