//go:build race

package apitest

// Rounds is how often a race is repeated. It is less than usual, because the race detector makes each round many times
// slower.
const Rounds = 10
