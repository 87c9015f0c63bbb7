package email

import "unicode/utf8"

// gauge measures how far other words are from one. It keeps its working space, since one address is compared with
// hundreds; it is not for concurrent use.
type gauge struct {
	from, to           []rune
	before, above, row []int
}

func newGauge(word string) *gauge { return &gauge{from: []rune(word)} }

// distance counts the slips of the hand between the gauge's word and another: characters left out, put in,
// exchanged, or swapped with the next one (the Damerau–Levenshtein distance, restricted to swaps of neighbours).
// Beyond limit it answers limit+1.
func (g *gauge) distance(word string, limit int) int {
	length := utf8.RuneCountInString(word)
	if max(length-len(g.from), len(g.from)-length) > limit {
		return limit + 1
	}
	g.reset(word)
	for i := 1; i <= len(g.from); i++ {
		if g.fillRow(i) > limit {
			return limit + 1
		}
		g.before, g.above, g.row = g.above, g.row, g.before
	}
	return min(g.above[length], limit+1)
}

// reset prepares the first row of the table: the distance of the empty word from each beginning of word.
func (g *gauge) reset(word string) {
	g.to = g.to[:0]
	for _, r := range word {
		g.to = append(g.to, r)
	}
	if columns := len(g.to) + 1; columns > cap(g.above) {
		g.before, g.above, g.row = make([]int, columns, 2*columns), make([]int, columns, 2*columns), make([]int, columns, 2*columns)
	} else {
		g.before, g.above, g.row = g.before[:columns], g.above[:columns], g.row[:columns]
	}
	for j := range g.above {
		g.above[j] = j
	}
}

// fillRow fills row i of the table, of which the two rows before suffice, and gives its least value, which no later
// row falls below.
func (g *gauge) fillRow(i int) (least int) {
	g.row[0], least = i, i
	for j := 1; j <= len(g.to); j++ {
		exchange := g.above[j-1]
		if g.from[i-1] != g.to[j-1] {
			exchange++
		}
		g.row[j] = min(exchange, g.above[j]+1, g.row[j-1]+1)
		if i > 1 && j > 1 && g.from[i-1] == g.to[j-2] && g.from[i-2] == g.to[j-1] {
			g.row[j] = min(g.row[j], g.before[j-2]+1)
		}
		least = min(least, g.row[j])
	}
	return least
}
