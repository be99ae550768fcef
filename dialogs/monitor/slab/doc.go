// Package slab keeps millions of small records in chunks that never move, and finds them by an
// index without pointers: to grow copies no record, and the garbage collector reads none.
package slab
