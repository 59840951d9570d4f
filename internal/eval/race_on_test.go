//go:build race

package eval_test

// raceEnabled: the detector makes everything some ten times slower, and lets
// pools drop what they hold.
const raceEnabled = true
