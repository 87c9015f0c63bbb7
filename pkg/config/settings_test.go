package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/config"
)

// setting is a field of the configuration.
type setting struct {
	variable, flag string
	fromFile       bool
	index          []int
}

// settings are all fields of the configuration, so that a new one cannot be forgotten.
func settings(t *testing.T) []setting {
	t.Helper()
	var all []setting
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Server]()) {
		if field.Anonymous || field.Tag.Get("kong") == "-" {
			continue
		}
		_, fromFile := field.Tag.Lookup("file")
		s := setting{field.Tag.Get("env"), "--" + field.Tag.Get("name"), fromFile, field.Index}
		require.Regexp(t, `^LATCHKEY_[A-Z_]+$`, s.variable, field.Name)
		require.Equal(t, strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.variable, "LATCHKEY_"), "_", "-")), s.flag[2:])
		all = append(all, s)
	}
	return all
}

// of is the field's value; a list without entries is nil.
func (s setting) of(c config.Server) any {
	value := reflect.ValueOf(c).FieldByIndex(s.index)
	if value.Kind() == reflect.Slice && value.Len() == 0 {
		value = reflect.Zero(value.Type())
	}
	return value.Interface()
}

// samples are a value for each variable that is not its default.
var samples = map[string]string{
	"LATCHKEY_DATABASE_URL":       "sqlite:other.db",
	"LATCHKEY_DATABASE_MAX_CONNS": "7",
	"LATCHKEY_SECRET_KEY":         "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	"LATCHKEY_LOG_FORMAT":         "json",
	"LATCHKEY_LOG_LEVEL":          "debug",
	"LATCHKEY_ADDR":               "127.0.0.1:9090",
	"LATCHKEY_PUBLIC_URL":         "https://id.example.com/auth",
	"LATCHKEY_OPERATOR_KEY":       "lk_0123456789abcdef0123456789abcdef",
	"LATCHKEY_SMTP_URL":           "smtp://user:p%40ss@mail.example.com:587",
	"LATCHKEY_TRUSTED_PROXIES":    "10.0.0.0/8,192.0.2.7",
	"LATCHKEY_UNLIMITED_NETWORKS": "198.51.100.0/24,2001:db8::/48",
	"LATCHKEY_RATE_LIMIT":         "off",
	"LATCHKEY_HASH_SLOTS":         "3",
	"LATCHKEY_HASH_WAIT":          "1500ms",
	"LATCHKEY_HASH_MEMORY":        "65536",
	"LATCHKEY_HASH_ITERATIONS":    "3",
	"LATCHKEY_HASH_PARALLELISM":   "2",
	"LATCHKEY_BREACHED_PASSWORDS": "on",
	"LATCHKEY_SIGNING_ALGORITHM":  "RS256",
}

// around are the things that editors, shells and web pages leave around a value.
var around = [][2]string{
	{"", "\n"}, {"", "\r\n"}, {"", "\r"}, {"", " "}, {" ", ""}, {"\t", "\t"}, {"", "\u00a0"}, {"\ufeff", "\r\n"}, {"\n \u200b", "\u2028\n\n"},
}

// empty are the values of a variable that is unset.
var empty = []string{"", " ", "\n", "\r\n", "\ufeff", "\t\u00a0"}

// read parses as the program does.
func read(t *testing.T, args ...string) (config.Server, error) {
	t.Helper()
	var c config.Server
	parser, err := kong.New(&c, config.Settings())
	require.NoError(t, err)
	_, err = parser.Parse(args)
	return c, err
}

func TestWhiteSpaceIsNoPartOfASetting(t *testing.T) {
	for _, s := range settings(t) {
		t.Run(s.variable, func(t *testing.T) {
			sample := samples[s.variable]
			require.NotEmpty(t, sample, "samples has no value for it")
			want := s.of(parse(t, s.flag+"="+sample))
			require.NotEqual(t, s.of(parse(t)), want)
			for _, space := range around {
				text := space[0] + sample + space[1]
				require.Equal(t, want, s.of(parse(t, s.flag+"="+text)), "%q", text)
				require.Equal(t, want, s.of(parse(t, s.flag, text)), "%q", text)
				t.Setenv(s.variable, text)
				c := parse(t)
				require.Equal(t, want, s.of(c), "%q", text)
				require.NoError(t, c.Check())
			}
		})
	}
}

func TestEmptySettingIsUnset(t *testing.T) {
	for _, s := range settings(t) {
		t.Run(s.variable, func(t *testing.T) {
			want, sample := s.of(parse(t)), s.of(parse(t, s.flag+"="+samples[s.variable]))
			for _, text := range empty {
				t.Setenv(s.variable, text)
				t.Setenv(s.variable+"_FILE", text)
				c := parse(t)
				require.Equal(t, want, s.of(c), "%q", text)
				require.NoError(t, c.Check())
				require.Equal(t, want, s.of(parse(t, s.flag+"="+text)), "%q", text)
				require.Equal(t, sample, s.of(parse(t, s.flag+"="+samples[s.variable])), "a flag goes before the variable")

				t.Setenv(s.variable, samples[s.variable])
				require.Equal(t, sample, s.of(parse(t, s.flag+"="+text)), "an empty flag gives way to the variable")
			}
		})
	}
}

func TestSecretsAndURLsComeFromFiles(t *testing.T) {
	sensitive := regexp.MustCompile(`_(URL|KEY|SECRET|PASSWORD|TOKEN)$`)
	for _, s := range settings(t) {
		require.Equal(t, sensitive.MatchString(s.variable), s.fromFile, "%s: does it have the tag file", s.variable)
		if !s.fromFile {
			continue
		}
		t.Run(s.variable, func(t *testing.T) {
			sample := samples[s.variable]
			want := s.of(parse(t, s.flag+"="+sample))
			path := filepath.Join(t.TempDir(), "a setting")
			for _, space := range around {
				require.NoError(t, os.WriteFile(path, []byte(space[0]+sample+space[1]), 0o600))
				t.Setenv(s.variable+"_FILE", path+space[1])
				t.Setenv(s.variable, space[1])
				require.Equal(t, want, s.of(parse(t)), "%q", space)
				require.Equal(t, want, s.of(parse(t, s.flag+"=")), "%q", space)
			}
			t.Setenv(s.variable, sample)
			_, err := read(t)
			require.ErrorContains(t, err, s.variable+" and "+s.variable+"_FILE are both set")
			require.NotContains(t, err.Error(), sample)
			require.Equal(t, want, s.of(parse(t, s.flag+"="+sample)), "a flag goes before both")
		})
	}
}

func TestFileThatHoldsNoSetting(t *testing.T) {
	dir := t.TempDir()
	const content = "not-to-be-told"
	for name, bad := range map[string]struct{ content, why string }{
		"missing":  {"", "no such file"},
		"empty":    {"", "is empty"},
		"blank":    {"\ufeff \r\n", "is empty"},
		"utf-16":   {"\xff\xfe" + content, "is not a text file"},
		"nul":      {content + "\x00" + content, "is not a text file"},
		"too-long": {strings.Repeat(content, 10_000), "holds more than"},
	} {
		path := filepath.Join(dir, name)
		if name != "missing" {
			require.NoError(t, os.WriteFile(path, []byte(bad.content), 0o600))
		}
		requireFileRefused(t, path, bad.why)
	}
	requireFileRefused(t, dir, "is a directory")
}

func requireFileRefused(t *testing.T, path, why string) {
	t.Helper()
	t.Setenv("LATCHKEY_OPERATOR_KEY_FILE", path)
	_, err := read(t)
	require.ErrorContains(t, err, "LATCHKEY_OPERATOR_KEY_FILE: ")
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, why)
	require.NotContains(t, err.Error(), "not-to-be-told")
}

// A secret in a file is checked like one in a variable, and an error about it repeats nothing.
func TestSettingFromAFileIsChecked(t *testing.T) {
	const secret = "not-to-be-told"
	for variable, content := range map[string]string{
		"LATCHKEY_SECRET_KEY":   secret,
		"LATCHKEY_OPERATOR_KEY": "lk_" + secret,
		"LATCHKEY_DATABASE_URL": "mysql://u:" + secret + "@db/latchkey",
		"LATCHKEY_PUBLIC_URL":   "https://u:" + secret + "@example.com",
	} {
		t.Run(variable, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "setting")
			require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
			t.Setenv(variable+"_FILE", path)
			err := parse(t).Check()
			require.ErrorContains(t, err, variable)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestErrorsNameTheVariable(t *testing.T) {
	for _, s := range settings(t) {
		field := reflect.TypeFor[config.Server]().FieldByIndex(s.index)
		if field.Type.Kind() == reflect.String && field.Tag.Get("enum") == "" || field.Type.Kind() == reflect.Slice {
			continue // Check reads these
		}
		t.Run(s.variable, func(t *testing.T) {
			t.Setenv(s.variable, "nonsense\n")
			_, err := read(t)
			require.ErrorContains(t, err, s.variable)
			require.ErrorContains(t, err, "nonsense")
		})
	}
}

func TestListsOfNetworksDropWhatIsEmpty(t *testing.T) {
	for _, text := range []string{"10.0.0.0/8,192.0.2.7", " 10.0.0.0/8 ,\n\u00a0192.0.2.7,\n", ",10.0.0.0/8,,192.0.2.7"} {
		t.Setenv("LATCHKEY_TRUSTED_PROXIES", text)
		c := parse(t)
		require.Equal(t, []string{"10.0.0.0/8", "192.0.2.7"}, c.TrustedProxies, "%q", text)
		require.NoError(t, c.Check())
	}
	t.Setenv("LATCHKEY_TRUSTED_PROXIES", " , ")
	require.Empty(t, parse(t).TrustedProxies)
}

func TestOperatorKeyThatNoCallerCanSend(t *testing.T) {
	t.Parallel()
	good := samples["LATCHKEY_OPERATOR_KEY"]
	for _, inside := range []string{" ", "\n", "\t", "ü", "\u00a0"} {
		err := parse(t, "--operator-key="+good[:10]+inside+good[10:]).Check()
		require.ErrorContains(t, err, "LATCHKEY_OPERATOR_KEY: ", "%q", inside)
		require.NotContains(t, err.Error(), good[:10])
	}
}

// A setting that is added later follows the rules too, whatever its type.
func TestSettingsOfOtherTypes(t *testing.T) {
	type later struct {
		Switch bool     `name:"switch" env:"LATCHKEY_TEST_SWITCH"`
		Number float64  `name:"number" env:"LATCHKEY_TEST_NUMBER" default:"1.5" file:"true"`
		List   []int    `name:"list" env:"LATCHKEY_TEST_LIST" default:"1,2"`
		Words  []string `name:"words" env:"LATCHKEY_TEST_WORDS" sep:"none"`
		Plain  string   `name:"plain"`
	}
	read := func(args ...string) (l later, err error) {
		parser, err := kong.New(&l, config.Settings())
		require.NoError(t, err)
		_, err = parser.Parse(args)
		return l, err
	}
	t.Setenv("LATCHKEY_TEST_SWITCH", "true\n")
	t.Setenv("LATCHKEY_TEST_NUMBER", " 2.5\r")
	t.Setenv("LATCHKEY_TEST_LIST", "3, 4,\n")
	t.Setenv("LATCHKEY_TEST_WORDS", " a, b\n")
	got, err := read("--plain= x ")
	require.NoError(t, err)
	require.Equal(t, later{true, 2.5, []int{3, 4}, []string{"a, b"}, " x "}, got, "a flag without a variable is no setting")

	t.Setenv("LATCHKEY_TEST_SWITCH", "")
	t.Setenv("LATCHKEY_TEST_NUMBER", "")
	t.Setenv("LATCHKEY_TEST_LIST", "")
	got, err = read("--switch", "--plain=x")
	require.NoError(t, err)
	require.Equal(t, later{true, 1.5, []int{1, 2}, []string{"a, b"}, "x"}, got)

	t.Setenv("LATCHKEY_TEST_NUMBER", "not-to-be-told")
	_, err = read()
	require.ErrorContains(t, err, "LATCHKEY_TEST_NUMBER: the value is not valid")
	require.NotContains(t, err.Error(), "not-to-be-told")

	_, err = read("--list", "--switch")
	require.ErrorContains(t, err, "--list", "a flag whose value is missing takes no other flag for it")
}
