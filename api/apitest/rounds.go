//go:build !race

package apitest

// Rounds is how often a race is repeated.
const Rounds = 50
