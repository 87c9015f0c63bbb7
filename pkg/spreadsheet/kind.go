package spreadsheet

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
)

// Kind is a kind of file that cannot be read. Some program can save its table in a kind that can.
type Kind string

// The recognised kinds.
const (
	KindXLS      Kind = "xls"          // Excel before 2007, or any workbook with a password
	KindXLSB     Kind = "xlsb"         // Excel's binary workbook
	KindODS      Kind = "ods"          // OpenDocument, as LibreOffice saves it
	KindNumbers  Kind = "numbers"      // Apple Numbers
	KindHTML     Kind = "html"         // a web page, which some programs call .xls
	KindXML      Kind = "xml"          // Excel's XML of 2003 and others
	KindPDF      Kind = "pdf"          // a printed table
	KindArchive  Kind = "zip"          // an archive of another kind
	KindDamaged  Kind = "damaged_xlsx" // a workbook that cannot be unpacked
	KindTooLarge Kind = "large_xlsx"   // a workbook that holds too much once it is unpacked
)

// KindError is a file of a kind that cannot be read.
type KindError struct{ Kind Kind }

func (e *KindError) Error() string {
	return fmt.Sprintf("spreadsheet: the file cannot be read: %s", e.Kind)
}

// maxParts is how many files a workbook may hold. Each takes memory before anything is unpacked.
const maxParts = 10_000

// archive opens a ZIP archive, such as a workbook. For other files it gives nil.
func archive(file []byte) (*zip.Reader, error) {
	if !bytes.HasPrefix(file, []byte("PK\x03\x04")) && !bytes.HasPrefix(file, []byte("PK\x05\x06")) {
		return nil, nil
	}
	if bytes.Count(file, []byte("PK\x01\x02")) > maxParts {
		return nil, &KindError{KindTooLarge}
	}
	parts, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, &KindError{KindDamaged}
	}
	return parts, nil
}

// kindOfArchive recognises the archives of spreadsheet programs. For XLSX it gives "".
func kindOfArchive(parts *zip.Reader) Kind {
	for _, part := range parts.File {
		switch {
		case part.Name == "xl/workbook.xml":
			return ""
		case part.Name == "xl/workbook.bin":
			return KindXLSB
		case part.Name == "mimetype":
			return KindODS
		case strings.HasSuffix(part.Name, ".iwa"), part.Name == "Index.zip", strings.HasSuffix(part.Name, "/Index.zip"):
			return KindNumbers
		}
	}
	return KindArchive
}

// kindOfOctets recognises binary files by their first octets.
func kindOfOctets(file []byte) Kind {
	switch {
	case bytes.HasPrefix(file, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
		bytes.HasPrefix(file, []byte("\x09\x08\x10\x00\x00\x06\x05\x00")):
		return KindXLS
	case bytes.HasPrefix(file, []byte("%PDF-")):
		return KindPDF
	}
	return ""
}

// kindOfText recognises markup. The names of columns never begin with a < that markup follows.
func kindOfText(text []byte) Kind {
	start := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), 512)]))
	if bytes.HasPrefix(start, []byte("<?xml")) && !bytes.Contains(start, []byte("<html")) {
		return KindXML
	}
	for _, tag := range []string{
		"<!doctype html", "<html", "<?xml", "<head", "<meta", "<body", "<table", "<style", "<div", "<!--",
	} {
		if bytes.HasPrefix(start, []byte(tag)) {
			return KindHTML
		}
	}
	return ""
}
