package spreadsheet_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

// line is a row as the tests write it down.
type line struct {
	number int
	cells  map[string]string
}

// read gives the rows of a file, those that failed with no cells, and those cells only that are not empty.
func read(t *testing.T, file string) ([]string, []line) {
	t.Helper()
	f, err := spreadsheet.Read([]byte(file))
	require.NoError(t, err)
	var lines []line
	for row := range f.Rows() {
		var cells map[string]string
		if row.Err == nil {
			cells = make(map[string]string)
			for _, column := range f.Columns {
				if cell := row.Cell(column); cell != "" {
					cells[column] = cell
				}
			}
		} else {
			require.ErrorIs(t, row.Err, spreadsheet.ErrRow)
		}
		lines = append(lines, line{row.Number, cells})
	}
	return f.Columns, lines
}

func TestDialects(t *testing.T) {
	t.Parallel()
	ann, bob := map[string]string{"email": "ann@x.example", "roles": "a,b"}, map[string]string{"email": "bob@x.example"}
	want := []line{{2, ann}, {3, bob}}
	for name, file := range map[string]string{
		"comma, LF":               "email,roles\nann@x.example,\"a,b\"\nbob@x.example,\n",
		"comma, CRLF":             "email,roles\r\nann@x.example,\"a,b\"\r\nbob@x.example,\r\n",
		"comma, CR":               "email,roles\rann@x.example,\"a,b\"\rbob@x.example,\r",
		"no line end at the end":  "email,roles\nann@x.example,\"a,b\"\nbob@x.example,",
		"byte order mark":         "\ufeffemail,roles\r\nann@x.example,\"a,b\"\r\nbob@x.example,\r\n",
		"mark and quoted header":  "\ufeff\"email\",\"roles\"\nann@x.example,\"a,b\"\nbob@x.example,",
		"semicolon":               "email;roles\r\nann@x.example;a,b\r\nbob@x.example;\r\n",
		"tab":                     "email\troles\r\nann@x.example\ta,b\r\nbob@x.example\t\r\n",
		"sep semicolon":           "sep=;\r\nemail;roles\r\nann@x.example;a,b\r\nbob@x.example;\r\n",
		"sep comma":               "sep=,\nemail,roles\nann@x.example,\"a,b\"\nbob@x.example,",
		"sep tab":                 "sep=\t\nemail\troles\nann@x.example\ta,b\nbob@x.example",
		"sep in quotes":           "\"sep=;\"\r\nemail;roles\r\nann@x.example;a,b\r\nbob@x.example;\r\n",
		"separator in quotes":     "sep=\";\"\nemail;roles\nann@x.example;a,b\nbob@x.example",
		"sep in capitals":         "\ufeffSEP=;\rEmail;Roles\rann@x.example;a,b\rbob@x.example",
		"sep against the header":  "sep=;\nemail;\"roles\"\nann@x.example;a,b\nbob@x.example",
		"other separators quoted": "\"email\";\"roles\"\n\"ann@x.example\";\"a,b\"\n\"bob@x.example\";\"\"\n",
		"trailing columns":        "email;roles;;\r\nann@x.example;a,b;;\r\nbob@x.example;;;\r\n",
		"trailing rows":           "email;roles\r\nann@x.example;a,b\r\nbob@x.example;\r\n;\r\n;\r\n  ;\t\r\n\r\n",
		"more cells, all empty":   "email;roles\nann@x.example;a,b;;;\nbob@x.example;; ;",
		"missing cells":           "email;roles\nann@x.example;a,b\nbob@x.example",
		"white space":             " Email ; ROLES\u00a0\n\u00a0 ann@x.example\u00a0;\ta,b \n bob@x.example; \u00a0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, lines := read(t, file)
			require.Equal(t, []string{"email", "roles"}, columns)
			require.Equal(t, want, lines)
		})
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file    string
		columns []string
		lines   []line
	}{
		"one column":                {"email\na\n\nb\n", []string{"email"}, []line{{2, cell("email", "a")}, {4, cell("email", "b")}}},
		"a header and nothing else": {"a,b", []string{"a", "b"}, nil},
		"names": {"Expires In,E-Mail,\"Given\r\nName\",roles_,ÉTAT,Last – Seen\n", []string{
			"expires_in", "e_mail", "given_name", "roles_", "état", "last_seen",
		}, nil},
		"quoted": {"a;b\n\"x;\"\"y\"\"\nz\";2\n3;4", []string{"a", "b"}, []line{
			{2, map[string]string{"a": "x;\"y\"\nz", "b": "2"}}, {3, map[string]string{"a": "3", "b": "4"}},
		}},
		"line breaks of all kinds inside": {"a\r\"1\r2\"\r\"3\r\n4\"\r5", []string{"a"}, []line{
			{2, cell("a", "1\n2")}, {3, cell("a", "3\n4")}, {4, cell("a", "5")},
		}},
		"blank lines count": {"a,b\n\n\r\n1,2\n\n,\n\"\",\"\"\n3,4\n\n", []string{"a", "b"}, []line{
			{4, map[string]string{"a": "1", "b": "2"}}, {8, map[string]string{"a": "3", "b": "4"}},
		}},
		"blank lines above the header count": {"\n;;\n\t\na;b\n1;2", []string{"a", "b"}, []line{
			{5, map[string]string{"a": "1", "b": "2"}},
		}},
		"other separators above the header": {";\n\t;\na\n1", []string{"a"}, []line{{4, cell("a", "1")}}},
		"the line sep= does not":            {"sep=;\n\na\n1", []string{"a"}, []line{{3, cell("a", "1")}}},
		"the first column unnamed":          {";a\n;1", []string{"a"}, []line{{2, cell("a", "1")}}},
		"a middle column unnamed":           {"a,,b\n1,,2", []string{"a", "b"}, []line{{2, map[string]string{"a": "1", "b": "2"}}}},
		"another program's sep=":            {"sep=|\n1", []string{"sep=|"}, []line{{2, cell("sep=|", "1")}}},
		"header quotes a separator":         {"\"a;;;\"\"\",b\n1,2", []string{"a;;;\"", "b"}, []line{{2, map[string]string{"a;;;\"": "1", "b": "2"}}}},
		"as many of two separators":         {"a;b,c\n1,2", []string{"a;b", "c"}, []line{{2, map[string]string{"a;b": "1", "c": "2"}}}},
		"a space of its own inside":         {"a\nx\u00a0y", []string{"a"}, []line{{2, cell("a", "x\u00a0y")}}},
		"formulas lose the apostrophe":      {"a\n'=1", []string{"a"}, []line{{2, cell("a", "=1")}}},
		"a quote inside a cell":             {"a,b\n1,5\" disk\n2,x\n", []string{"a", "b"}, []line{{2, nil}, {3, map[string]string{"a": "2", "b": "x"}}}},
		"text behind a quoted cell":         {"a\n\"x\"y\n2", []string{"a"}, []line{{2, nil}, {3, cell("a", "2")}}},
		"a quote never closed":              {"a\n1\n\"2\n3\n", []string{"a"}, []line{{2, cell("a", "1")}, {3, nil}}},
		"a cell too many":                   {"a,b\n1,2,3\n,,3\n4", []string{"a", "b"}, []line{{2, nil}, {3, nil}, {4, cell("a", "4")}}},
		"far too many cells":                {"a\n1\n" + strings.Repeat(",", 1<<18) + "\n2", []string{"a"}, []line{{2, cell("a", "1")}, {3, nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, lines := read(t, c.file)
			require.Equal(t, c.columns, columns)
			require.Equal(t, c.lines, lines)
		})
	}
}

func cell(column, value string) map[string]string { return map[string]string{column: value} }

func TestCellOfNoColumn(t *testing.T) {
	t.Parallel()
	f, err := spreadsheet.Read([]byte("a,b\n1"))
	require.NoError(t, err)
	for row := range f.Rows() {
		require.Equal(t, "1", row.Cell("a"))
		require.Empty(t, row.Cell("b"), "the row ends before it")
		require.Empty(t, row.Cell("c"), "there is none")
	}
	require.Empty(t, spreadsheet.Row{}.Cell("a"))
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"nothing":                  {"", spreadsheet.ErrEmpty},
		"a mark":                   {"\ufeff", spreadsheet.ErrEmpty},
		"blank lines":              {"\r\n\r\n ; ;\n", spreadsheet.ErrEmpty},
		"a line sep= alone":        {"sep=;\r\n", spreadsheet.ErrEmpty},
		"empty quotes":             {"\"\",\"\"\n", spreadsheet.ErrEmpty},
		"UTF-16 without mark":      {utf16le("email\n"), spreadsheet.ErrEncoding},
		"UTF-16 cut off":           {"\xfe\xff\x00a\x00", spreadsheet.ErrEncoding},
		"a quote in the header":    {"a\"b\n1", spreadsheet.ErrHeader},
		"an open quote there":      {"\"a\n1", spreadsheet.ErrHeader},
		"a header without an end":  {"a" + strings.Repeat(",", 1<<18), spreadsheet.ErrHeader},
		"a name twice":             {"a,b,a\n", &spreadsheet.ColumnError{Number: 3, Err: spreadsheet.ErrColumnTwice}},
		"a name twice, normalised": {"E-Mail;roles;;e mail\n", &spreadsheet.ColumnError{Number: 4, Err: spreadsheet.ErrColumnTwice}},
		"no name above a cell":     {"a;;\n1;;\n;;secret\n", &spreadsheet.ColumnError{Number: 3, Err: spreadsheet.ErrColumnUnnamed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := spreadsheet.Read([]byte(c.file))
			require.Equal(t, c.want, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	err := error(&spreadsheet.ColumnError{Number: 3, Err: spreadsheet.ErrColumnTwice})
	require.ErrorIs(t, err, spreadsheet.ErrColumnTwice)
	require.EqualError(t, err, "spreadsheet: column 3: the name of the column is repeated")
}

func utf16le(s string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

func TestRowsAreReadAnew(t *testing.T) {
	t.Parallel()
	file := []byte("email;roles\rann;x\rbob;y\r")
	before := bytes.Clone(file)
	f, err := spreadsheet.Read(file)
	require.NoError(t, err)
	require.Equal(t, before, file, "the caller's bytes")

	first := slices.Collect(f.Rows())
	for row := range f.Rows() {
		require.Equal(t, 2, row.Number)
		break
	}
	require.Equal(t, first, slices.Collect(f.Rows()))
	require.Equal(t, "ann", first[0].Cell("email"), "a row outlives the next")
	require.Equal(t, "bob", first[1].Cell("email"))
}

// TestHostileFiles reads what a reader of less care takes minutes or hundreds of MiB for. Each takes some 50 ms.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		rows int
	}{
		"more columns than names, many rows": {"a" + strings.Repeat(",", 60_000) + "\n" + strings.Repeat("x\n", 500_000), 500_000},
		"a row of nothing but commas":        {"a\n" + strings.Repeat(",", 5<<20), 1},
		"nothing but quotes":                 {"a\n" + strings.Repeat("\"", 1<<20), 1},
		"a quote opened in every line":       {"a\n" + strings.Repeat("\"x\n", 200_000), 100_000},
		"rows across lines":                  {"a\n" + strings.Repeat("\"\n\",", 1<<20), 1},
		"line breaks":                        {"a" + strings.Repeat("\r", 5<<20), 0},
		"separators in lines":                {strings.Repeat(";\n", 1<<20) + "a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, lines := read(t, c.file)
			require.Equal(t, c.rows, len(lines))
			require.Less(t, time.Since(began), 20*time.Second)
		})
	}
}

// FuzzRead holds whatever is sent to what Read promises.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "\ufeff", "a,b\n1,2\n", "sep=;\r\na;b\r\n\"x;\"\"y\"\"\r\nz\";2\r\n", "a\r\"b\r\rc", "a\tb\r\r\n\"", "\"\n\n", "a;;\n;;1",
		"a\n\"x\"y\n\n2", "\r\r\n\n\r", ",,\n\"\"\n a\n", "\xff\xfea", "a\x00", "sep=,", "\u00a0\n\u00a0,a\n\u2028;\"", "a\n\"b\n\"\"\"\n,\"",
		"a\nM\xfcller;'\"=1", "\xfe\xff\x00a\x00\r\x00\"", "a\rAndr\x8e",
	} {
		f.Add([]byte(seed))
	}
	known := []error{spreadsheet.ErrEncoding, spreadsheet.ErrEmpty, spreadsheet.ErrHeader, spreadsheet.ErrColumnTwice, spreadsheet.ErrColumnUnnamed}
	f.Fuzz(func(t *testing.T, file []byte) {
		before := bytes.Clone(file)
		sheet, err := spreadsheet.Read(file)
		var kind *spreadsheet.KindError
		if errors.As(err, &kind) {
			require.NotEmpty(t, kind.Kind)
			return
		}
		if err != nil {
			require.True(t, slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }), err)
			return
		}
		unique := make(map[string]bool)
		for _, column := range sheet.Columns {
			require.NotEmpty(t, column)
			unique[column] = true
		}
		require.Len(t, sheet.Columns, len(unique))

		last := 1
		limit := 1 + bytes.Count(file, []byte("\n")) + bytes.Count(file, []byte("\r"))
		for row := range sheet.Rows() {
			require.Greater(t, row.Number, last)
			last = row.Number
			for column := range maps.Keys(unique) {
				require.Equal(t, strings.TrimSpace(row.Cell(column)), row.Cell(column))
			}
		}
		if !bytes.HasPrefix(file, []byte("PK")) { // the rows of a workbook are packed
			require.LessOrEqual(t, last, limit)
		}
		require.Equal(t, slices.Collect(sheet.Rows()), slices.Collect(sheet.Rows()))
		require.Equal(t, before, file)
	})
}

// BenchmarkRead reads the largest file that an import takes.
func BenchmarkRead(b *testing.B) {
	file := []byte("email;roles;given name;;\r\n" + strings.Repeat("someone@example.com;\"admin,guest\";José;;\r\n", 230_000))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := spreadsheet.Read(file)
		if err != nil {
			b.Fatal(err)
		}
		rows := 0
		for row := range f.Rows() {
			if row.Cell("email") != "" {
				rows++
			}
		}
		if rows != 230_000 {
			b.Fatal(rows)
		}
	}
}
