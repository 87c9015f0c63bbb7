//go:build !race

package invitation

// rounds is how often a race is repeated.
const rounds = 50
