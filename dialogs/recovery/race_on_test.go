//go:build race

package recovery_test

// crowd is the size of the largest town. The race detector makes it four times as slow, and
// finds in a small one what it finds in a large one.
const crowd = 1000
