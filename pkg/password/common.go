package password

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// commonPasswords holds one password a line, in small letters and most common first: the first thousand of any length
// from 4, then those of 8 and more. They are the passwords of @zxcvbn-ts/language-common 4.1.3, © 2012-2016 Dan Wheeler
// and Dropbox, Inc., © 2021 @zxcvbn-ts, under the MIT licence in commonpasswords.LICENSE.txt.
//
//go:embed commonpasswords.txt
var commonPasswords string

const (
	// topRank is how many of the list are so common that people add to them: password1234.
	topRank = 1000
	// maxListed is more than the longest line of the list has, in code points.
	maxListed = 24
	// maxAfterthought is how many digits and signs after a weak password leave it weak.
	maxAfterthought = 4
	// maxUnit is the longest unit whose repetition is always weak.
	maxUnit = 4
	// minRun is the least that counts as a run; two neighbours on a keyboard come about by chance.
	minRun = 3
)

// runs are the lines that people type along, forwards or backwards: alphabet, digits, keyboard rows (QWERTY, QWERTZ,
// AZERTY) and columns.
const runs = `abcdefghijklmnopqrstuvwxyz
01234567890123456789
!@#$%^&*()_+
qwertyuiop[]
qwertzuiop
azertyuiop
asdfghjkl;'
qsdfghjklm
zxcvbnm,./
yxcvbnm
1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.
qazwsxedcrfvtgbyhnujmikolp
1q2w3e4r5t6y7u8i9o0p
q1w2e3r4t5y6u7i8o9p0
qweasdzxc`

var bothWays = sync.OnceValue(func() string {
	backwards := []rune(runs)
	slices.Reverse(backwards)
	return runs + "\n" + string(backwards)
})

// ranks maps a listed password to its rank, the most common being 0. It is made at first use, since most commands of
// the program, and its start, do without.
var ranks = sync.OnceValue(func() map[string]int {
	lines := strings.Fields(commonPasswords)
	ranks := make(map[string]int, len(lines))
	for rank, line := range lines {
		ranks[line] = rank
	}
	return ranks
})

// plainLetters undoes the substitutions that everybody knows: p@ssw0rd.
var plainLetters = strings.NewReplacer(
	"@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t")

// isCommon tells whether a guesser would try the password (in NFC) early: it is listed, or it is one of the most
// common and an afterthought, or one short or listed unit repeated, or made of runs.
func isCommon(password string) bool {
	folded := strings.ToLower(password)
	stem := withoutAfterthought(folded)
	return startsListed(folded) ||
		isRepetition(folded) || isRepetition(stem) ||
		isRuns(folded) || isRuns(stem)
}

// startsListed tells whether the text is listed, or begins with one of the most common and goes on with nothing new.
func startsListed(text string) bool {
	letters := []rune(text)
	for n := 1; n <= min(len(letters), maxListed); n++ {
		word, rest := string(letters[:n]), string(letters[n:])
		rank, listed := rankOf(word)
		if listed && (rest == "" || rank < topRank && isAfterthought(rest)) {
			return true
		}
	}
	return false
}

// rankOf looks the word up as it is and with plain letters, since p@ssw0rd is listed but far behind password.
func rankOf(word string) (rank int, listed bool) {
	rank, listed = ranks()[word]
	plainRank, plainListed := ranks()[plainLetters.Replace(word)]
	if plainListed && (!listed || plainRank < rank) {
		return plainRank, true
	}
	return rank, listed
}

func isAfterthought(rest string) bool {
	return withoutAfterthought(rest) == "" || isRuns(rest)
}

// withoutAfterthought cuts up to maxAfterthought digits and signs off the end.
func withoutAfterthought(text string) string {
	for range maxAfterthought {
		last, size := utf8.DecodeLastRuneInString(text)
		if size == 0 || unicode.IsLetter(last) {
			break
		}
		text = text[:len(text)-size]
	}
	return text
}

// isRepetition tells whether the text is one unit over and over (the last time perhaps in part), and the unit is short
// or listed.
func isRepetition(text string) bool {
	letters := []rune(text)
	for unit := 1; unit <= min(maxListed, len(letters)/2); unit++ {
		if !slices.Equal(letters[unit:], letters[:len(letters)-unit]) {
			continue
		}
		if unit <= maxUnit {
			return true
		}
		_, listed := rankOf(string(letters[:unit]))
		return listed
	}
	return false
}

// isRuns tells whether the text is made of nothing but runs: qwertyasdf, 123abc456, aaa111.
func isRuns(text string) bool {
	for rest := text; rest != ""; {
		n := max(alike(rest), alongLine(rest))
		if utf8.RuneCountInString(rest[:n]) < minRun {
			return false
		}
		rest = rest[n:]
	}
	return text != ""
}

// alike is the length in bytes of the one code point repeated that the text begins with.
func alike(text string) int {
	first, size := utf8.DecodeRuneInString(text)
	n := size
	for n < len(text) {
		next, size := utf8.DecodeRuneInString(text[n:])
		if next != first {
			break
		}
		n += size
	}
	return n
}

// alongLine is the length in bytes of the piece of a run that the text begins with. Runs are ASCII.
func alongLine(text string) int {
	n := 0
	for n < len(text) && text[n] != '\n' && strings.Contains(bothWays(), text[:n+1]) {
		n++
	}
	return n
}
