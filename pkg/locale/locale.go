// Package locale has the texts of the API in five languages.
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

// Default is the language of callers and portals that ask for no other.
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

// Parse reads a `locale` member, which must be one of Tags exactly.
func Parse(tag string) (Language, bool) {
	l := Language(tag)
	return l, slices.Contains(Languages(), l)
}

// maxAcceptLanguage is the longest Accept-Language that is read, in octets. Browsers send a few dozen.
const maxAcceptLanguage = 256

var matcher = language.NewMatcher([]language.Tag{
	language.English, language.German, language.French, language.Dutch, language.Danish,
})

// Match is the language of the catalogue that a reader prefers (Accept-Language, RFC 9110 §12.5.4), or fallback if they
// accept none of them.
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

// Wait writes a duration in words, rounded up: seconds up to two minutes, minutes up to two hours, then hours.
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

// validityTolerance is the part of a unit that may be missing to a whole one.
const validityTolerance = 0.1

// Validity writes how long something stays valid in words, rounded down so that it does not promise too much. Up to a
// tenth of the unit may be missing, because time passes while a message is sent. The unit is seconds below two minutes,
// minutes below two hours, hours below two days, then days.
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
