//go:build !race

package mtl

const raceDetector = false
