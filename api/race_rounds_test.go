//go:build !race

package api_test

// rounds is how often what races is repeated.
const rounds = 50
