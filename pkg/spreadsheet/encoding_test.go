package spreadsheet_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"

	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

// in writes a text in a code page.
func in(t *testing.T, page *charmap.Charmap, text string) string {
	t.Helper()
	out, err := page.NewEncoder().String(text)
	require.NoError(t, err)
	return out
}

func utf16be(s string) string {
	pairs := []byte(utf16le(s))
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	return string(pairs)
}

// TestFilesAsProgramsSaveThem reads one list in the very octets of several programs. Each lists two people and a row
// that was emptied, with a line break inside a cell.
func TestFilesAsProgramsSaveThem(t *testing.T) {
	t.Parallel()
	const comma = "Email ,Roles\r\njoerg@example.com,\"Müller, été\r\nœuvre – l’âge\"\r\n\"o'neil@example.com\",Ærø\r\n,\r\n"
	const semicolon = "Email ;Roles\r\njoerg@example.com;\"Müller, été\nœuvre – l’âge\"\r\no'neil@example.com;Ærø\r\n;\r\n"
	const tabs = "Email \tRoles\r\njoerg@example.com\t\"Müller, été\nœuvre – l’âge\"\r\no'neil@example.com\tÆrø\r\n\t\r\n"
	mac := strings.NewReplacer("\r\n", "\r", "\n", "\r")
	for name, c := range map[string]struct {
		file    string
		guessed bool
	}{
		"Excel: CSV UTF-8":                          {"\ufeff" + comma, false},
		"Excel: CSV UTF-8, German":                  {"\ufeff" + semicolon, false},
		"Excel: CSV, English":                       {in(t, charmap.Windows1252, comma), true},
		"Excel: CSV, German, Dutch, French, Danish": {in(t, charmap.Windows1252, semicolon), true},
		"Excel: Text (tab delimited)":               {in(t, charmap.Windows1252, tabs), true},
		"Excel: Unicode text":                       {utf16le("\ufeff" + tabs), false},
		"Excel for Mac: CSV (Macintosh)":            {in(t, charmap.Macintosh, mac.Replace(comma)), true},
		"Excel for Mac: CSV (Macintosh), German":    {in(t, charmap.Macintosh, mac.Replace(semicolon)), true},
		"Excel for Mac: Text":                       {in(t, charmap.Macintosh, mac.Replace(tabs)), true},
		"Windows-1252 with CR":                      {in(t, charmap.Windows1252, mac.Replace(comma)), true},
		"LibreOffice: UTF-8":                        {strings.ReplaceAll(comma, "\r\n", "\n"), false},
		"LibreOffice: UTF-16":                       {utf16le("\ufeff" + comma), false},
		"LibreOffice: Windows-1252":                 {in(t, charmap.Windows1252, strings.ReplaceAll(semicolon, "\r\n", "\n")), true},
		"Numbers: Unicode (UTF-8)":                  {semicolon, false},
		"Numbers: Windows Latin 1":                  {in(t, charmap.Windows1252, comma), true},
		"Google Sheets: CSV":                        {strings.TrimSuffix(comma, "\r\n"), false},
		"Google Sheets: TSV":                        {"Email \tRoles\r\njoerg@example.com\t\"Müller, été\r\nœuvre – l’âge\"\r\no'neil@example.com\tÆrø", false},
		"with sep=":                                 {in(t, charmap.Windows1252, "sep=;\r\n"+semicolon), true},
		"UTF-16 with sep=, big endian":              {utf16be("\ufeffsep=;\r\n" + semicolon), false},
		"UTF-16 with CR":                            {utf16le("\ufeff" + mac.Replace(tabs)), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, lines := read(t, c.file)
			require.Equal(t, []string{"email", "roles"}, columns)
			require.Equal(t, []line{
				{2, map[string]string{"email": "joerg@example.com", "roles": "Müller, été\nœuvre – l’âge"}},
				{3, map[string]string{"email": "o'neil@example.com", "roles": "Ærø"}},
			}, lines)
			f, err := spreadsheet.Read([]byte(c.file))
			require.NoError(t, err)
			require.Equal(t, c.guessed, f.Guessed)
		})
	}
}

func TestAstralLettersInUTF16(t *testing.T) {
	t.Parallel()
	for _, file := range []string{utf16le("\ufeffa\n🔑 日本"), utf16be("\ufeffa\n🔑 日本")} {
		_, lines := read(t, file)
		require.Equal(t, []line{{2, cell("a", "🔑 日本")}}, lines)
	}
}

// TestEncodingsThatCannotBeTold refuses what would be read as other letters than the person saw.
func TestEncodingsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"Polish":                        in(t, charmap.Windows1250, "email;roles\r\na@x.example;Wałęsa\r\n"),
		"Czech":                         in(t, charmap.Windows1250, "email;roles\r\na@x.example;Šťastný\r\n"),
		"Russian":                       in(t, charmap.Windows1251, "email;roles\r\na@x.example;Иван\r\n"),
		"Greek":                         in(t, charmap.Windows1253, "email;roles\r\na@x.example;Αθηνά\r\n"),
		"Mac letters with CRLF":         in(t, charmap.Macintosh, "email,roles\r\na@x.example,André Käfer\r\n"),
		"CSV (MS-DOS), ü":               in(t, charmap.CodePage850, "email;roles\r\na@x.example;Müller\r\n"),
		"CSV (MS-DOS), é":               in(t, charmap.CodePage850, "email;roles\r\na@x.example;René\r\n"),
		"CSV (MS-DOS), ö":               in(t, charmap.CodePage850, "email;roles\r\na@x.example;Björn\r\n"),
		"UTF-8 that was cut off":        "email,roles\r\na@x.example,Müller\r\nb@x.example,Ren\xc3",
		"UTF-8 and a line of another":   "email,roles\r\na@x.example,André\r\nb@x.example,Ren\xe9\r\n",
		"Japanese":                      "email,roles\r\na@x.example,\x93\xfa\x96\x7b\x8c\xea\x81\x5b\r\n",
		"Chinese":                       "email,roles\r\na@x.example,\xd6\xd0\xb9\xfa\xc8\xcb\r\n",
		"UTF-16, little, without mark":  utf16le("email,roles\r\n"),
		"UTF-16, big, without mark":     utf16be("email,roles\r\n"),
		"UTF-16, an odd octet":          utf16le("\ufeffemail") + "x",
		"UTF-16, half a pair":           utf16le("\ufeffemail") + "\x00\xd8a\x00",
		"UTF-16, half a pair at an end": utf16le("\ufeffemail") + "\x00\xd8",
		"UTF-32":                        "\xff\xfe\x00\x00e\x00\x00\x00",
		"a picture":                     "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := spreadsheet.Read([]byte(file))
			require.Equal(t, spreadsheet.ErrEncoding, err)
		})
	}
}

// TestRoundTrip writes hostile cells as an export does and reads them as an import does.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	alphabet := []string{"=", "+", "-", "@", "＝", "＠", "\t", "\n", "\r\n", ",", ";", "|", "\"", " ", "\u00a0", "\u200b", "a", "é", "1", "🔑"}
	var cells []string
	for _, a := range alphabet {
		for _, b := range alphabet {
			for _, c := range alphabet {
				cells = append(cells, a+b+c, a+b+c+"x@example.com", "O'"+a+b+c+"'n")
			}
		}
	}
	for name, write := range map[string]func(t *testing.T, rows [][]string) []byte{"csv": csvFile, "xlsx": xlsxFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := [][]string{{"key", "cell"}}
			for _, c := range cells {
				rows = append(rows, []string{"k", c})
			}
			f, err := spreadsheet.Read(write(t, rows))
			require.NoError(t, err)
			n := 0
			for row := range f.Rows() {
				require.NoError(t, row.Err)
				want := strings.TrimSpace(strings.ReplaceAll(cells[n], "\r\n", "\n"))
				require.Equal(t, want, row.Cell("cell"), "%q", cells[n])
				require.Equal(t, n+2, row.Number)
				n++
			}
			require.Equal(t, len(cells), n)
		})
	}
}

// TestApostrophes takes off the one apostrophe that an export puts on, and leaves all others.
func TestApostrophes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"'+lead@example.com":  "+lead@example.com",
		"'=1":                 "=1",
		"''=1":                "''=1",
		"'a@example.com":      "'a@example.com",
		"o'+x@example.com":    "o'+x@example.com",
		"'":                   "'",
		"'quoted'":            "'quoted'",
		"a|'-1|'b":            "a|-1|'b",
		"' @x":                "@x",
		"'\u200b=1":           "\u200b=1",
		"rock|'n'|'+roll|'-'": "rock|'n'|+roll|-'",
	} {
		_, lines := read(t, "a\n"+in+"\n")
		require.Equal(t, []line{{2, cell("a", want)}}, lines, in)
	}
}
