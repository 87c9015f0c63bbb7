//go:build !race

package invitation

// rounds is how often what races is repeated.
const rounds = 50
