package spreadsheet_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

func csvFile(t *testing.T, rows [][]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := spreadsheet.NewCSV(&out)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func xlsxFile(t *testing.T, rows [][]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := spreadsheet.NewXLSX(&out, "Invitations")
	require.NoError(t, err)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// packed is a ZIP archive of files by their names.
func packed(t testing.TB, files ...[2]string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		part, err := w.Create(f[0])
		require.NoError(t, err)
		_, err = part.Write([]byte(f[1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.String()
}

// bookParts are the parts of a workbook as programs write them, around one sheet.
func bookParts(sheet, strings, styles string) [][2]string {
	const ns = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
	return [][2]string{
		{"[Content_Types].xml", "<Types/>"},
		{"xl/workbook.xml", `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><workbook ` + ns +
			`><sheets><sheet name="Old" sheetId="1" state="hidden" r:id="rId1"/><sheet name="People" sheetId="2" r:id="rId2"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="` + kind + `worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="rId2" Type="` + kind + `worksheet" Target="/xl/worksheets/sheet2.xml"/>` +
			`<Relationship Id="rId3" Type="` + kind + `sharedStrings" Target="sharedStrings.xml"/>` +
			`<Relationship Id="rId4" Type="` + kind + `styles" Target="styles.xml"/></Relationships>`},
		{"xl/worksheets/sheet2.xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<worksheet ` + ns + `><cols><col min="1" max="1" width="9"/></cols><sheetData>` + sheet + `</sheetData>` +
			`<controls><row>7</row></controls></worksheet>`},
		{"xl/sharedStrings.xml", `<sst ` + ns + `>` + strings + `</sst>`},
		{"xl/styles.xml", `<styleSheet ` + ns + `>` + styles + `</styleSheet>`},
	}
}

func book(t testing.TB, sheet, strings, styles string) string {
	t.Helper()
	return packed(t, bookParts(sheet, strings, styles)...)
}

func TestWorkbookByHand(t *testing.T) {
	t.Parallel()
	file := book(t, `<row r="3" spans="1:4"><c r="A3" t="s"><v>0</v></c><c r="B3" t="s"><v>1</v></c><c r="D3" t="inlineStr"><is><t xml:space="preserve"> E-Mail </t></is></c></row>`+
		`<row r="5"><c r="A5"><v>1</v></c><c r="B5" t="s"><v>2</v></c><c r="C5" s="1"/><c r="D5" t="str"><f>A1&amp;"x"</f><v>a@example.com</v></c></row>`+
		`<row><c><v>2.5</v></c><c t="b"><v>1</v></c><c/><c t="e"><v>#N/A</v></c></row>`+
		`<row r="9"/><row r="10"><c r="B10" t="s"><v>3</v></c></row>`,
		`<si><t>Number</t></si><si><r><t>Ro</t></r><r><rPr><b/></rPr><t>les</t></r></si>`+
			`<si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr fontId="1"/></si>`+
			`<si><t>a,"b"_x000D__x000A_&lt;c&gt;_x005F_x0041_ <![CDATA[d]]>_xD83D__xDD11__xZZZZ_</t></si>`, "")
	columns, lines := read(t, file)
	require.Equal(t, []string{"number", "roles", "e_mail"}, columns)
	require.Equal(t, []line{
		{5, map[string]string{"number": "1", "roles": "東京", "e_mail": "a@example.com"}},
		{6, map[string]string{"number": "2.5", "roles": "TRUE", "e_mail": "#N/A"}},
		{10, map[string]string{"roles": "a,\"b\"\n<c>_x0041_ d🔑_xZZZZ_"}},
	}, lines)
}

// TestWorkbookOfExcelize reads what another writer makes of values of several types.
func TestWorkbookOfExcelize(t *testing.T) {
	t.Parallel()
	out := excelize.NewFile()
	defer func() { require.NoError(t, out.Close()) }()
	_, err := out.NewSheet("People")
	require.NoError(t, err)
	out.SetActiveSheet(1)
	day := time.Date(2026, time.November, 22, 8, 43, 0, 0, time.UTC)
	codes := []string{"dd.mm.yyyy", "hh:mm", `yyyy\-mm\-dd\ hh:mm:ss`, "00000", "#,##0.00", "0%", "[h]:mm", `[$-407]d. mmmm yyyy;@`, `0 "days"`, "@", "[Red]General"}
	values := []any{day.Truncate(24 * time.Hour), 0.5, day, 420, 3600, 0.25, 1.25, day, 7, "0012", 491701234567}
	want := []string{"2026-11-22", "12:00:00", "2026-11-22 08:43:00", "00420", "3600", "25%", "30:00:00", "2026-11-22", "7", "0012", "491701234567"}
	require.NoError(t, out.SetSheetRow("People", "A1", &[]any{"email", "value"}))
	for i, value := range values {
		row := i + 2
		require.NoError(t, out.SetSheetRow("People", fmt.Sprintf("A%d", row), &[]any{"ä@example.com", value}))
		style, err := out.NewStyle(&excelize.Style{CustomNumFmt: &codes[i]})
		require.NoError(t, err)
		at := fmt.Sprintf("B%d", row)
		require.NoError(t, out.SetCellStyle("People", at, at, style))
	}
	file, err := out.WriteToBuffer()
	require.NoError(t, err)
	_, lines := read(t, file.String())
	require.Len(t, lines, len(values))
	for i, l := range lines {
		require.Equal(t, line{i + 2, map[string]string{"email": "ä@example.com", "value": want[i]}}, l, codes[i])
	}
}

func TestNumbersOfWorkbooks(t *testing.T) {
	t.Parallel()
	styles := `<numFmts count="1"><numFmt numFmtId="164" formatCode="mmm\ yy"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>` +
		`<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="20"/><xf numFmtId="164"/><xf numFmtId="10"/><xf numFmtId="1"/></cellXfs><dxfs><xf numFmtId="14"/></dxfs>`
	for _, c := range []struct{ value, style, want string }{
		{"3600", "0", "3600"}, {"0.30000000000000004", "0", "0.3"}, {"1E-3", "0", "0.001"}, {"6.048E5", "0", "604800"},
		{"-5", "0", "-5"}, {"1E300", "0", "1E300"}, {"soon", "0", "soon"}, {"7", "99", "7"}, {"7", "-1", "7"}, {" 7 ", "", "7"},
		{"1", "1", "1900-01-01"}, {"59", "1", "1900-02-28"}, {"61", "1", "1900-03-01"}, {"46348", "1", "2026-11-22"},
		{"46348.3631944444", "2", "2026-11-22 08:43:00"}, {"46348.9999999999", "2", "2026-11-23 00:00:00"}, {"0.3631944444", "3", "08:43:00"},
		{"46348", "4", "2026-11-22"}, {"-1", "1", "-1"}, {"2958466", "1", "2958466"}, {"0.125", "5", "12.5%"}, {"2.6", "6", "3"},
	} {
		sheet := fmt.Sprintf(`<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2" s="%s"><v>%s</v></c></row>`, c.style, c.value)
		_, lines := read(t, book(t, sheet, "", styles))
		require.Equal(t, []line{{2, cell("a", c.want)}}, lines, "%+v", c)
	}
	parts := bookParts(`<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2" s="1"><v>44886</v></c></row>`, "", styles)
	parts[1][1] = strings.Replace(parts[1][1], "<sheets>", `<workbookPr date1904="1"/><sheets>`, 1)
	_, lines := read(t, packed(t, parts...))
	require.Equal(t, []line{{2, cell("a", "2026-11-22")}}, lines, "days from 1904")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	const one = `<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>`
	without := func(part string) string {
		var kept [][2]string
		for _, p := range bookParts(one, "", "") {
			if p[0] != part {
				kept = append(kept, p)
			}
		}
		return packed(t, kept...)
	}
	whole := book(t, one, "", "")
	for name, c := range map[string]struct {
		file string
		want spreadsheet.Kind
	}{
		"Excel 97":                {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00\x00", spreadsheet.KindXLS},
		"Excel's binary":          {packed(t, [2]string{"[Content_Types].xml", ""}, [2]string{"xl/workbook.bin", ""}), spreadsheet.KindXLSB},
		"LibreOffice":             {packed(t, [2]string{"mimetype", "application/vnd.oasis.opendocument.spreadsheet"}), spreadsheet.KindODS},
		"Numbers":                 {packed(t, [2]string{"preview.jpg", ""}, [2]string{"Index/Document.iwa", ""}), spreadsheet.KindNumbers},
		"Numbers 2013":            {packed(t, [2]string{"list.numbers/Index.zip", ""}), spreadsheet.KindNumbers},
		"Word":                    {packed(t, [2]string{"word/document.xml", ""}), spreadsheet.KindArchive},
		"an empty archive":        {packed(t), spreadsheet.KindArchive},
		"PDF":                     {"%PDF-1.7\n%\xe2\xe3", spreadsheet.KindPDF},
		"a web page":              {"\ufeff<!DOCTYPE html>\r\n<html>", spreadsheet.KindHTML},
		"a table called .xls":     {"\n  <TABLE border=1><tr><td>email", spreadsheet.KindHTML},
		"a page in UTF-16":        {utf16le("\ufeff<html>"), spreadsheet.KindHTML},
		"Excel 2003":              {"<?xml version=\"1.0\"?>\n<?mso-application progid=\"Excel.Sheet\"?>", spreadsheet.KindXML},
		"XHTML":                   {"<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\">", spreadsheet.KindHTML},
		"cut off":                 {whole[:len(whole)/2], spreadsheet.KindDamaged},
		"no relations":            {without("xl/_rels/workbook.xml.rels"), spreadsheet.KindDamaged},
		"no sheet":                {without("xl/worksheets/sheet2.xml"), spreadsheet.KindDamaged},
		"no strings":              {without("xl/sharedStrings.xml"), spreadsheet.KindDamaged},
		"rows out of order":       {book(t, `<row r="2"/><row r="2"/>`, "", ""), spreadsheet.KindDamaged},
		"cells out of order":      {book(t, `<row r="2"><c r="B2"/><c r="A2"/></row>`, "", ""), spreadsheet.KindDamaged},
		"a string that is not":    {book(t, `<row><c t="s"><v>1</v></c></row>`, "<si><t>a</t></si>", ""), spreadsheet.KindDamaged},
		"a row too far":           {book(t, `<row r="1048577"/>`, "", ""), spreadsheet.KindDamaged},
		"a column too far":        {book(t, `<row><c r="XFE1"><v>1</v></c></row>`, "", ""), spreadsheet.KindDamaged},
		"no XML":                  {book(t, `<row`, "", ""), spreadsheet.KindDamaged},
		"an entity of its own":    {book(t, `<row><c t="str"><v>&x;</v></c></row>`, "", ""), spreadsheet.KindDamaged},
		"too many parts":          {packed(t, make([][2]string, 10_001)...), spreadsheet.KindTooLarge},
		"a sheet of blank":        {book(t, strings.Repeat(" ", 33<<20), "", ""), spreadsheet.KindTooLarge},
		"one string, many cells":  {book(t, `<row>`+strings.Repeat(`<c t="s"><v>0</v></c>`, 16_000)+`</row>`, "<si><t>"+strings.Repeat("x", 30_000)+"</t></si>", ""), spreadsheet.KindTooLarge},
		"many attributes":         {book(t, `<row`+strings.Repeat(` a=""`, 1<<20)+`/>`, "", ""), spreadsheet.KindTooLarge},
		"deep":                    {book(t, strings.Repeat("<a>", 1<<20), "", ""), spreadsheet.KindTooLarge},
		"more strings than rows":  {book(t, one, strings.Repeat("<si/>", 1<<20+1), ""), spreadsheet.KindTooLarge},
		"more styles than Excel":  {book(t, one, "", "<cellXfs>"+strings.Repeat("<xf/>", 1<<16+1)), spreadsheet.KindTooLarge},
		"columns that are filled": {book(t, strings.Repeat(`<row><c r="XFD1"><v>1</v></c></row>`, 2000), "", ""), spreadsheet.KindTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := spreadsheet.Read([]byte(c.file))
			require.Equal(t, &spreadsheet.KindError{Kind: c.want}, err)
			require.Less(t, time.Since(began), 20*time.Second)
		})
	}
	_, err := spreadsheet.Read([]byte(book(t, "", "", "")))
	require.Equal(t, spreadsheet.ErrEmpty, err)
}

// TestMemoryOfHostileWorkbooks is not parallel, because it measures what the whole process allocates.
func TestMemoryOfHostileWorkbooks(t *testing.T) {
	for name, file := range map[string]string{
		"blank":   book(t, strings.Repeat(" ", 33<<20), "", ""),
		"strings": book(t, `<row><c t="s"><v>0</v></c></row>`, strings.Repeat("<si/>", 33<<20/5+1), ""),
		"long":    book(t, `<row><c t="str"><v>`+strings.Repeat("x", 33<<20), "", ""),
		"nested":  book(t, strings.Repeat("<row>", 33<<20/5+1), "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, len(file), 1<<20, "it is small as long as it is packed")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := spreadsheet.Read([]byte(file))
			require.Equal(t, &spreadsheet.KindError{Kind: spreadsheet.KindTooLarge}, err)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20), "freed on the way or not")
		})
	}
}
