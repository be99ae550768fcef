//go:build !race

package recovery_test

// crowd is the size of the largest town.
const crowd = 5000
