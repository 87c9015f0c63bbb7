package spreadsheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

// asCSV writes rows and reads them back.
func asCSV(t *testing.T, rows [][]string) [][]string {
	t.Helper()
	var out bytes.Buffer
	w := spreadsheet.NewCSV(&out)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
	require.NotContains(t, strings.ReplaceAll(out.String(), "\r\n", ""), "\n", "every line ends in CRLF")
	read, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	return read
}

// asXLSX writes rows and reads them back.
func asXLSX(t *testing.T, rows [][]string) [][]string {
	t.Helper()
	book := workbook(t, rows)
	read, err := book.GetRows("Invitations")
	require.NoError(t, err)
	for i, row := range read { // excelize leaves out empty cells at the end
		read[i] = append(row, make([]string, len(rows[0])-len(row))...)
	}
	return read
}

func workbook(t *testing.T, rows [][]string) *excelize.File {
	t.Helper()
	var out bytes.Buffer
	w, err := spreadsheet.NewXLSX(&out, "Invitations")
	require.NoError(t, err)
	defer w.Discard()
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
	book, err := excelize.OpenReader(&out)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, book.Close()) })
	return book
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rows := [][]string{
		{"code", "email", "roles"},
		{"0B4Z-1E10-0012", "josé@example.com", "admin;guest"},
		{"", "", ""},
		{"say \"hello\"", "a,b", "line\nbreak"},
		{"'quoted'", " spaces ", "<b>&amp;</b>"},
		{"1", "TRUE", "2026-11-22"},
		{"_x0041_", "_x005F_x0041_", "日本語 🔑"},
	}
	require.Equal(t, rows, asCSV(t, rows))
	require.Equal(t, rows, asXLSX(t, rows))
}

func TestFormulas(t *testing.T) {
	t.Parallel()
	const link = `=HYPERLINK("http://x.example","here")`
	for cell, want := range map[string]string{
		"=1+1":          "'=1+1",
		link:            `'=HYPERLINK("http://x.example","here")`,
		"+491701234567": "'+491701234567",
		"-1":            "'-1",
		"@SUM(A1)":      "'@SUM(A1)",
		"＝1":            "'＝1",
		"＋1":            "'＋1",
		"－1":            "'－1",
		"＠A":            "'＠A",
		"\tx":           "'\tx",
		"\t=1":          "'\t'=1",
		"\rx":           "'\nx",
		"\nx":           "'\nx",
		"\r\n=1":        "'\n'=1",

		// behind what a program drops
		" =1":           "' =1",
		"\u00a0\u3000=": "'\u00a0\u3000=",
		"\"=1":          "'\"=1",
		" \" =1":        "' \" =1",
		"\ufeff=1":      "'\ufeff=1",
		"\u200b\u202e@": "'\u200b\u202e@",

		// where another program may begin a cell
		"a,=1":           "a,'=1",
		"a;=1;+2":        "a;'=1;'+2",
		"a|-1":           "a|'-1",
		"a\t@x":          "a\t'@x",
		"a\n=1":          "a\n'=1",
		"a\r=1":          "a\n'=1",
		"a\r\n=1":        "a\n'=1",
		"a; \"=1":        "a;' \"=1",
		"a\";\"=1":       "a\";'\"=1",
		"=1,=2":          "'=1,'=2",
		";=1":            ";'=1",
		" \t=1":          " \t'=1",
		"O'Brien;＝x":     "O'Brien;'＝x",
		"é;=1":           "é;'=1",
		"'=1;=2":         "'=1;'=2",
		"a,b;\u200b \"+": "a,b;'\u200b \"+",

		// nothing to fear
		"":                          "",
		"a=1":                       "a=1",
		"first.last+tag@example.de": "first.last+tag@example.de",
		"a - b":                     "a - b",
		"1-2":                       "1-2",
		"'=1":                       "'=1",
		"\"a\"=1":                   "\"a\"=1",
		"{\"a\":\"=1\"}":            "{\"a\":\"=1\"}",
		"a,b;c|d\te\nf":             "a,b;c|d\te\nf",
		"a\n\nb":                    "a\n\nb",
		"2026-11-22T08:43:00Z":      "2026-11-22T08:43:00Z",

		// what XML cannot hold
		"a\x00b":         "a\ufffdb",
		"\x00=1":         "\ufffd=1",
		"a\x1b\x0b":      "a\ufffd\ufffd",
		"a\xffb":         "a\ufffdb",
		"\ufffe\uffff=1": "\ufffd\ufffd=1",
		"\x7f=1":         "'\x7f=1",
	} {
		t.Run(fmt.Sprintf("%q", cell), func(t *testing.T) {
			t.Parallel()
			rows := [][]string{{"a", cell}, {cell, "b"}, {want, "b"}}
			safe := [][]string{{"a", want}, {want, "b"}, {want, "b"}} // what is safe already stays so
			require.Equal(t, safe, asCSV(t, rows))
			require.Equal(t, safe, asXLSX(t, rows))
		})
	}
}

func TestLongCells(t *testing.T) {
	t.Parallel()
	const most = 32767
	for name, c := range map[string]struct{ cell, want string }{
		"as long as may be":   {strings.Repeat("x", most), strings.Repeat("x", most)},
		"one too long":        {strings.Repeat("x", most+1), strings.Repeat("x", most)},
		"with an apostrophe":  {"=" + strings.Repeat("x", most), "'=" + strings.Repeat("x", most-2)},
		"two bytes each":      {strings.Repeat("é", most+1), strings.Repeat("é", most)},
		"two code units each": {strings.Repeat("🔑", most), strings.Repeat("🔑", most/2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, want := [][]string{{"a"}, {c.cell}}, [][]string{{"a"}, {c.want}}
			require.Equal(t, want, asCSV(t, rows))
			require.Equal(t, want, asXLSX(t, rows))
		})
	}
}

func TestCSVAsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := spreadsheet.NewCSV(&out)
	require.NoError(t, w.Write([]string{"email"}))
	require.NoError(t, w.Write([]string{""}))
	require.Empty(t, out.String(), "rows are gathered")
	require.NoError(t, w.Flush())
	require.Equal(t, "email\r\n\"\"\r\n", out.String(), "an empty cell is no blank line")
	require.NoError(t, w.Write([]string{"a,\"b\""}))
	require.NoError(t, w.Close())
	require.Equal(t, "email\r\n\"\"\r\n\"a,\"\"b\"\"\"\r\n", out.String())
	require.Error(t, w.Write([]string{"late"}))
}

func TestRowsOfOneWidth(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	rows := spreadsheet.NewCSV(&out)
	require.Error(t, rows.Write(nil))
	require.NoError(t, rows.Write([]string{"a", "b"}))
	require.Error(t, rows.Write([]string{"1"}))
	require.NoError(t, rows.Write([]string{"1", "2"}))
	require.NoError(t, rows.Close())
	require.Equal(t, "a,b\r\n1,2\r\n", out.String())

	out.Reset()
	book, err := spreadsheet.NewXLSX(&out, "A")
	require.NoError(t, err)
	require.NoError(t, book.Write([]string{"a", "b"}))
	wrong := book.Write([]string{"1", "2", "3"})
	require.ErrorContains(t, wrong, "3 cells under a header of 2")
	require.Equal(t, wrong, book.Write([]string{"1", "2"}), "the first error stays")
	require.Equal(t, wrong, book.Close())
	require.Zero(t, out.Len())
}

func TestLookOfTheWorkbook(t *testing.T) {
	t.Parallel()
	book := workbook(t, [][]string{{"code", strings.Repeat("long ", 20)}, {"0012", "=1"}, {"", "2"}})
	require.Equal(t, []string{"Invitations"}, book.GetSheetList())
	for cell, bold := range map[string]bool{"A1": true, "B1": true, "A2": false, "B2": false} {
		kind, err := book.GetCellType("Invitations", cell)
		require.NoError(t, err)
		require.Equal(t, excelize.CellTypeInlineString, kind, cell)
		formula, err := book.GetCellFormula("Invitations", cell)
		require.NoError(t, err)
		require.Empty(t, formula)

		id, err := book.GetCellStyle("Invitations", cell)
		require.NoError(t, err)
		style, err := book.GetStyle(id)
		require.NoError(t, err)
		require.Equal(t, bold, style.Font != nil && style.Font.Bold, cell)
		require.Equal(t, 49, style.NumFmt, "text, also when it is edited")
	}
	panes, err := book.GetPanes("Invitations")
	require.NoError(t, err)
	require.True(t, panes.Freeze)
	require.Equal(t, 1, panes.YSplit)
	for column, want := range map[string]float64{"A": 28, "B": 60} {
		width, err := book.GetColWidth("Invitations", column)
		require.NoError(t, err)
		require.InDelta(t, want, width, 0)
	}
}

func TestSheetNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a/b", "[a]", "'a", strings.Repeat("a", 32)} {
		_, err := spreadsheet.NewXLSX(io.Discard, name)
		require.Error(t, err, name)
	}
	for _, name := range []string{"Sheet1", "Einladungen – Ärzte", strings.Repeat("a", 31)} {
		book, err := spreadsheet.NewXLSX(io.Discard, name)
		require.NoError(t, err, name)
		require.NoError(t, book.Close())
	}
}

var errHungUp = errors.New("hung up")

type hungUp struct{}

func (hungUp) Write([]byte) (int, error) { return 0, errHungUp }

func TestWriterThatFails(t *testing.T) {
	t.Parallel()
	rows := spreadsheet.NewCSV(hungUp{})
	require.NoError(t, rows.Write([]string{"a"}))
	require.ErrorIs(t, rows.Flush(), errHungUp)
	require.ErrorIs(t, rows.Write([]string{"a"}), errHungUp)
	require.ErrorIs(t, rows.Close(), errHungUp)

	book, err := spreadsheet.NewXLSX(hungUp{}, "A")
	require.NoError(t, err)
	require.NoError(t, book.Write([]string{"a"}))
	require.ErrorIs(t, book.Close(), errHungUp)
}

// TestTemporaryFiles is not parallel, for it has the directory of temporary files to itself.
func TestTemporaryFiles(t *testing.T) {
	row := []string{strings.Repeat("x", 30_000), strings.Repeat("y", 30_000)}
	for name, end := range map[string]func(*spreadsheet.XLSX){
		"closed":    func(x *spreadsheet.XLSX) { require.NoError(t, x.Close()); x.Discard() },
		"discarded": func(x *spreadsheet.XLSX) { x.Discard(); x.Discard(); require.Error(t, x.Write(row)) },
		"broken":    func(x *spreadsheet.XLSX) { require.Error(t, x.Write(nil)); require.Error(t, x.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			book, err := spreadsheet.NewXLSX(io.Discard, "A")
			require.NoError(t, err)
			for range 300 { // 18 MB, and excelize keeps 16 MiB in memory
				require.NoError(t, book.Write(row))
			}
			files, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, files, 1)
			end(book)
			files, err = os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, files)
		})
	}
	t.Run("not written", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		book, err := spreadsheet.NewXLSX(hungUp{}, "A")
		require.NoError(t, err)
		for range 300 {
			require.NoError(t, book.Write(row))
		}
		require.ErrorIs(t, book.Close(), errHungUp)
		files, err := os.ReadDir(os.TempDir())
		require.NoError(t, err)
		require.Empty(t, files)
	})
}

// BenchmarkWrite streams the largest export that is expected.
func BenchmarkWrite(b *testing.B) {
	const rows = 50_000
	row := []string{
		"0B4Z1-E1000-12ABC-DEFGH", "someone.or.other@example.com", "admin;guest", "", "pending", "en",
		"2026-11-22T08:43:00Z", "2026-11-29T08:43:00Z",
	}
	type writer interface {
		Write(cells []string) error
		Close() error
	}
	for format, begin := range map[string]func() (writer, error){
		"csv":  func() (writer, error) { return spreadsheet.NewCSV(io.Discard), nil },
		"xlsx": func() (writer, error) { return spreadsheet.NewXLSX(io.Discard, "A") },
	} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w, err := begin()
				if err != nil {
					b.Fatal(err)
				}
				for range rows {
					if err := w.Write(row); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
