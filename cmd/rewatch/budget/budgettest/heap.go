// Package budgettest measures what tables take that a test has filled to their bounds.
package budgettest

import "runtime"

// Heap is the memory in use on the heap and on the stacks, in bytes.
func Heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse) //nolint:gosec // it is no more than the machine has
}
