//go:build race && (darwin || softmetal)

package mtl

const raceDetector = true
