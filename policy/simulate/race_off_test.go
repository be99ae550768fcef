//go:build !race

package simulate_test

// networks are the sizes that are compared.
var networks = []int{10, 30, 100, 1000, 10_000}
