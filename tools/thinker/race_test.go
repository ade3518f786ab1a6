//go:build race

package main

// raceDetector is whether the race detector is on, which makes picture decoding and preprocessing some ten times slower.
const raceDetector = true
