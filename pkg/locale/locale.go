// Package locale holds the words of the API in five languages, from one catalogue.
package locale

import (
	"math"
	"slices"
	"time"

	"golang.org/x/text/language"
)

// Language is a language that the catalogue has.
type Language string

// The languages of the catalogue.
const (
	English Language = "en"
	German  Language = "de"
	French  Language = "fr"
	Dutch   Language = "nl"
	Danish  Language = "da"
)

// Default is the language where nothing says another.
const Default = English

// Languages are all that the catalogue has; the default comes first.
func Languages() []Language { return []Language{English, German, French, Dutch, Danish} }

// Tags are the languages as `locale` members spell them.
func Tags() []string {
	var tags []string
	for _, l := range Languages() {
		tags = append(tags, string(l))
	}
	return tags
}

// Parse reads a `locale` member: one of Tags, to the letter.
func Parse(tag string) (Language, bool) {
	l := Language(tag)
	return l, slices.Contains(Languages(), l)
}

// maxAcceptLanguage is the longest Accept-Language that is read, in octets; browsers send a few dozen.
const maxAcceptLanguage = 256

var matcher = language.NewMatcher([]language.Tag{
	language.English, language.German, language.French, language.Dutch, language.Danish,
})

// Match is the language of the catalogue that a reader prefers (Accept-Language, RFC 9110 §12.5.4), or the fallback
// where he names none that would do.
func Match(acceptLanguage string, fallback Language) Language {
	if acceptLanguage == "" || len(acceptLanguage) > maxAcceptLanguage {
		return fallback
	}
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(wanted) == 0 {
		return fallback
	}
	_, index, confidence := matcher.Match(wanted...)
	if confidence < language.High {
		return fallback
	}
	return Languages()[index]
}

// Wait says a length of time in words, rounded up: seconds below two minutes, then minutes, hours from two on.
func Wait(l Language, d time.Duration) string {
	unit, count := "seconds", math.Ceil(d.Seconds())
	switch {
	case d > 2*time.Hour:
		unit, count = "hours", math.Ceil(d.Hours())
	case d > 2*time.Minute:
		unit, count = "minutes", math.Ceil(d.Minutes())
	}
	return Text(l, "duration."+unit, Data{"count": int(count)})
}

// validityTolerance is how much of a unit counts as a whole one.
const validityTolerance = 0.1

// Validity says how long something is good for in words, rounded down so as to promise nothing, but for the moment that
// a message was on its way, a tenth of the unit: seconds below two minutes, then minutes, hours from two on, days from
// two on.
func Validity(l Language, d time.Duration) string {
	unit, count := "seconds", d.Seconds()
	switch {
	case d > 47*time.Hour:
		unit, count = "days", d.Hours()/24
	case d > 119*time.Minute:
		unit, count = "hours", d.Hours()
	case d > 119*time.Second:
		unit, count = "minutes", d.Minutes()
	}
	return Text(l, "duration."+unit, Data{"count": int(count + validityTolerance)})
}
