//go:build race

package invitation

// rounds is how often a race is repeated. The race detector makes each round many times slower.
const rounds = 10
