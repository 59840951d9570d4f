//go:build race

package gemm

// raceEnabled tells that tests are slow and sample their cases, and that sync.Pool
// drops items at random, so that allocations cannot be counted.
const raceEnabled = true
