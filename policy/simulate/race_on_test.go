//go:build race

package simulate_test

// networks are the sizes that are compared. A run is one goroutine, in which the race detector
// finds nothing in a larger network that it does not find in these.
var networks = []int{30, 1000}
