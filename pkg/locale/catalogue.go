package locale

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

//go:embed catalogue/*.json
var files embed.FS

// Data fills the {placeholders} of a text: with strings, and with the number that selects the plural form.
type Data map[string]any

// text is an entry of the catalogue: one form, or one for each plural category.
type text struct{ zero, one, other string }

// UnmarshalJSON reads "…" or {"zero"?: "…", "one": "…", "other": "…"}.
func (t *text) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, &t.other)
	}
	var forms struct{ Zero, One, Other string }
	if err := json.Unmarshal(raw, &forms); err != nil {
		return err
	}
	*t = text{forms.Zero, forms.One, forms.Other}
	return nil
}

// catalogues are read at first use, each language by itself.
var catalogues = func() map[Language]func() map[string]text {
	all := make(map[Language]func() map[string]text)
	for _, l := range Languages() {
		all[l] = sync.OnceValue(func() map[string]text { return read(l) })
	}
	return all
}()

func read(l Language) map[string]text {
	raw, err := files.ReadFile("catalogue/" + string(l) + ".json")
	if err == nil {
		var texts map[string]text
		if err = json.Unmarshal(raw, &texts); err == nil {
			return texts
		}
	}
	panic(fmt.Sprintf("locale: embedded catalogue %s: %v", l, err)) // the tests read every one
}

// Text is the entry of a key, filled with data. If data has every placeholder of the longer entry, whose key ends in
// "_with", Text gives that one. An unknown key gives the key.
func Text(l Language, key string, data Data) string {
	texts := catalogues[Default]
	if c, ok := catalogues[l]; ok {
		texts = c
	}
	if longer, ok := texts()[key+"_with"]; ok {
		if filled, whole := longer.fill(l, data); whole {
			return filled
		}
	}
	entry, ok := texts()[key]
	if !ok {
		return key
	}
	filled, _ := entry.fill(l, data)
	return filled
}

// fill puts data into the plural form for its number, and reports whether every placeholder was filled.
func (t text) fill(l Language, data Data) (filled string, whole bool) {
	form := t.other
	if t.one != "" {
		if n, ok := number(form, data); ok {
			switch {
			case n == 0 && t.zero != "":
				form = t.zero
			case n == 1, n == 0 && l == French: // CLDR plural rules
				form = t.one
			}
		}
	}
	var out strings.Builder
	whole = true
	for {
		before, rest, found := strings.Cut(form, "{")
		out.WriteString(before)
		if !found {
			return out.String(), whole
		}
		name, after, _ := strings.Cut(rest, "}")
		value, ok := data[name]
		if list, isList := value.([]string); isList {
			value = strings.Join(list, ", ")
		}
		if ok {
			fmt.Fprint(&out, value)
		}
		whole, form = whole && ok, after
	}
}

// number is the first number among the values of a form's placeholders.
func number(form string, data Data) (int, bool) {
	for {
		_, rest, found := strings.Cut(form, "{")
		if !found {
			return 0, false
		}
		name, after, _ := strings.Cut(rest, "}")
		if n, ok := data[name].(int); ok {
			return n, true
		}
		form = after
	}
}
