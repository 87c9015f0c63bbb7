package spreadsheet

import (
	"archive/zip"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"
)

// Bounds of a workbook that is read.
const (
	maxUnpacked = 32 << 20 // octets of all parts that are read
	maxText     = 16 << 20 // octets of the sheet's text
	maxStrings  = 1 << 20  // shared strings
	maxRows     = 1 << 20  // of a sheet, as in Excel
	maxColumns  = 1 << 14
	maxStyles   = 1 << 16
)

var (
	errDamaged  = &KindError{KindDamaged}
	errTooLarge = &KindError{KindTooLarge}
)

// workbook is an XLSX file (ECMA-376) that is being read. Sheets, styles and strings are read as streams, so that a
// small file that unpacks to a huge one is refused before it takes memory.
type workbook struct {
	parts   map[string]*zip.File
	left    int64 // octets that can still be unpacked
	from    epoch
	formats []numberFormat // by a cell's style
	strings sharedStrings
}

// workbookText gives the sheet that programs show first as CSV, with commas and every cell in quotes. Each row is in
// the line of its number.
//
// Cells have the text that a person sees, in one spelling for every country: the result of a formula, the digits of a
// number without grouping (with leading zeros if the format has them), 2026-11-22, 08:43:00, TRUE or FALSE.
//
// Errors: *KindError.
func workbookText(file *zip.Reader) ([]byte, error) {
	if kind := kindOfArchive(file); kind != "" {
		return nil, &KindError{kind}
	}
	b := &workbook{parts: make(map[string]*zip.File, len(file.File)), left: maxUnpacked}
	for _, part := range file.File {
		b.parts[part.Name] = part
	}
	text, err := b.read()
	if err == nil || errors.Is(err, errTooLarge) {
		return text, err
	}
	return nil, errDamaged // the decoder's error could contain a cell
}

func (b *workbook) read() ([]byte, error) {
	related, err := b.relations()
	if err != nil {
		return nil, err
	}
	sheet, err := b.shownSheet(related)
	if err != nil {
		return nil, err
	}
	for _, r := range related {
		switch r.kind {
		case "styles":
			err = b.readStyles(r.part)
		case "sharedStrings":
			err = b.readStrings(r.part)
		}
		if err != nil {
			return nil, err
		}
	}
	return b.readSheet(sheet)
}

// relation is the part of a workbook that an identifier refers to.
type relation struct{ kind, part string }

func (b *workbook) relations() (map[string]relation, error) {
	related := make(map[string]relation)
	err := b.each("xl/_rels/workbook.xml.rels", func(e element) error {
		if e.name == "Relationship" {
			if len(related) == maxParts {
				return errTooLarge
			}
			part := e.attr("Target")
			if strings.HasPrefix(part, "/") {
				part = part[1:]
			} else {
				part = path.Join("xl", part)
			}
			related[e.attr("Id")] = relation{path.Base(e.attr("Type")), part}
		}
		return nil
	})
	return related, err
}

// shownSheet is the part of the sheet that a program shows when it opens the workbook, or else of the first visible
// sheet.
func (b *workbook) shownSheet(related map[string]relation) (string, error) {
	active, place, first := 0, 0, ""
	shown := ""
	err := b.each("xl/workbook.xml", func(e element) error {
		switch e.name {
		case "workbookPr":
			if e.truth("date1904") {
				b.from = epoch1904
			}
		case "workbookView":
			active, _ = strconv.Atoi(e.attr("activeTab")) // 0 where it is missing
		case "sheet":
			r := related[e.attr("id")]
			if state := e.attr("state"); r.kind == "worksheet" && (state == "" || state == "visible") {
				if first == "" {
					first = r.part
				}
				if place == active {
					shown = r.part
				}
			}
			place++
		}
		return nil
	})
	if shown == "" {
		shown = first
	}
	if err == nil && shown == "" {
		err = errDamaged
	}
	return shown, err
}

// open begins to unpack a part.
func (b *workbook) open(part string) (*walker, io.Closer, error) {
	file, ok := b.parts[part]
	if !ok {
		return nil, nil, errDamaged
	}
	content, err := file.Open()
	if err != nil {
		return nil, nil, err
	}
	return newWalker(content, &b.left), content, nil
}

// each calls visit at the begin of every element of a part.
func (b *workbook) each(part string, visit func(element) error) error {
	w, content, err := b.open(part)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	for {
		switch err := w.next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if w.at == begins {
			if err := visit(w.element); err != nil {
				return err
			}
		}
	}
}
