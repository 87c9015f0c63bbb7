package spreadsheet

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// epoch is the first day that a workbook counts in its dates.
type epoch int

const (
	epoch1900 epoch = iota
	epoch1904       // Excel for Mac until 2011
)

// numberFormat says how a cell shows its number, as far as people would type the number that way.
type numberFormat struct {
	date, clock, percent bool
	digits               int // the least number of digits before the point, filled with zeros
}

// readStyles reads which format each style of a cell has.
func (b *workbook) readStyles(part string) error {
	custom := make(map[int]numberFormat)
	inCells := false
	return b.each(part, func(e element) error {
		id, _ := strconv.Atoi(e.attr("numFmtId")) // 0, which is General, where it is missing
		switch e.name {
		case "numFmt":
			if custom[id] = formatOf(e.attr("formatCode")); len(custom) > maxStyles {
				return errTooLarge
			}
		case "cellXfs":
			inCells = true
		case "cellStyleXfs", "cellStyles", "dxfs":
			inCells = false
		case "xf":
			if !inCells {
				return nil
			}
			if len(b.formats) == maxStyles {
				return errTooLarge
			}
			format, ok := custom[id]
			if !ok {
				format = builtIn(id)
			}
			b.formats = append(b.formats, format)
		}
		return nil
	})
}

// builtIn is a format that workbooks name by its number alone (ECMA-376 part 1, §18.8.30).
func builtIn(id int) numberFormat {
	switch {
	case id == 1:
		return numberFormat{digits: 1}
	case id == 9, id == 10:
		return numberFormat{percent: true}
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return numberFormat{date: true}
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id >= 45 && id <= 47, id == 55, id == 56:
		return numberFormat{clock: true}
	case id == 22:
		return numberFormat{date: true, clock: true}
	}
	return numberFormat{}
}

// formatOf reads a format code, such as dd.mm.yyyy or 00000, of which the first section is for positive numbers.
func formatOf(code string) numberFormat {
	code = strings.ToLower(code)
	var bare strings.Builder // without literal text, colours and locales
	var f numberFormat
	for i := 0; i < len(code) && code[i] != ';'; i++ {
		switch code[i] {
		case '"':
			i += 1 + max(0, strings.IndexByte(code[i+1:], '"'))
		case '\\', '_', '*':
			i++
		case '[':
			end := max(0, strings.IndexByte(code[i:], ']'))
			inside := code[i+min(1, end) : i+end]
			f.clock = f.clock || inside != "" && strings.Trim(inside, "hms") == ""
			i += end
		default:
			bare.WriteByte(code[i])
		}
	}
	code = bare.String()
	if strings.HasPrefix(code, "general") || strings.HasPrefix(code, "standard") {
		return numberFormat{}
	}
	f.clock = f.clock || strings.ContainsAny(code, "hs")
	f.date = strings.ContainsAny(code, "yd") || strings.Contains(code, "m") && !f.clock
	if f.date || f.clock {
		return f
	}
	f.percent = strings.Contains(code, "%")
	if code != "" && strings.Trim(code, "0") == "" {
		f.digits = min(len(code), 32)
	}
	return f
}

// apply is the number as the cell shows it. Excel keeps 15 digits of a number, so that 0.1+0.2 is 0.3.
func (f numberFormat) apply(number string, from epoch) string {
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) || math.Abs(n) >= 1e15 {
		return number
	}
	if (f.date || f.clock) && n >= 0 && n < maxDay {
		return f.moment(n, from)
	}
	if f.percent {
		n *= 100
	}
	if short, err := strconv.ParseFloat(strconv.FormatFloat(n, 'g', 15, 64), 64); err == nil {
		n = short
	}
	text := strconv.FormatFloat(n, 'f', -1, 64)
	if f.digits > 0 {
		text = fmt.Sprintf("%0*.0f", f.digits, n)
	}
	if f.percent {
		text += "%"
	}
	return text
}

// maxDay is the day after 9999-12-31. Excel shows no dates from there on.
const maxDay = 2_958_466

// moment is a date, a time of day, or both, from the days since the epoch. Excel's 1900 has a 29 February, so the days
// before it are counted from a day later. A time alone may be longer than a day.
func (f numberFormat) moment(days float64, from epoch) string {
	seconds := int64(math.Round(days * 24 * 60 * 60))
	if !f.date {
		return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	start := time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case from == epoch1904:
		start = time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		start = start.AddDate(0, 0, 1)
	}
	layout := time.DateOnly
	if f.clock {
		layout = time.DateTime
	}
	return start.AddDate(0, 0, int(seconds/86400)).Add(time.Duration(seconds%86400) * time.Second).Format(layout)
}
