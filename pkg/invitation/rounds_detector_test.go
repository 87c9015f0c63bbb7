//go:build race

package invitation

// rounds is how often what races is repeated: less often where the race detector makes each round many times slower.
const rounds = 10
