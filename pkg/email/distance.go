package email

import "slices"

// distance counts the typing slips between two words: characters left out, put in, exchanged, or swapped with the next
// one (the optimal string alignment distance: Damerau–Levenshtein, where no character is edited twice). Beyond limit it
// is limit+1.
func distance(a, b string, limit int) int {
	from, to := []rune(a), []rune(b)
	if max(len(from)-len(to), len(to)-len(from)) > limit {
		return limit + 1
	}
	// The rows of the table: row[j] is the distance between the first i characters of from and the first j of to.
	columns := len(to) + 1
	cells := make([]int, 3*columns)
	before, above, row := cells[:columns], cells[columns:2*columns], cells[2*columns:]
	for j := range above {
		above[j] = j
	}
	for i := range from {
		row[0] = i + 1
		for j := range to {
			exchanged := above[j]
			if from[i] != to[j] {
				exchanged++
			}
			row[j+1] = min(exchanged, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		if slices.Min(row) > limit {
			return limit + 1 // no later row falls below this one
		}
		before, above, row = above, row, before
	}
	return min(above[len(to)], limit+1)
}
