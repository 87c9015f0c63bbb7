package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// Settings makes kong read every flag that has an environment variable by the same rules:
//
//   - White space around a value, or around an entry of a list, is no part of it.
//   - An empty value is unset: an empty flag gives way to the variable, and an empty variable to the default.
//   - The value of a field with the tag file:"true" can come from a file that the variable with _FILE behind its name
//     names. Secrets and URLs, which may hold a password, have the tag. Errors never repeat their values.
//
// Errors about a value from the environment name its variable.
func Settings() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		s := &settings{read: make(map[string]func() (string, error))}
		return errors.Join(kong.PostBuild(s.adopt).Apply(k), kong.Resolvers(kong.ResolverFunc(s.resolve)).Apply(k),
			kong.ValueFormatter(helpText).Apply(k))
	})
}

// settings is the state of one parser.
type settings struct {
	// read reads the value of a variable, once: a file that is a pipe can only be read once.
	read map[string]func() (string, error)
}

// fileTag marks the fields whose values can come from a file.
const fileTag = "file"

// adopt puts the rules in front of kong's own mappers.
func (s *settings) adopt(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && len(flag.Tag.Envs) > 0 {
			flag.Mapper = settingMapper{Mapper: flag.Mapper, settings: s}
		}
		return next(nil)
	})
}

// helpText is kong's text about a flag, with the variable that names a file.
func helpText(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	if len(v.Tag.Envs) == 0 || !v.Tag.Has(fileTag) {
		return text
	}
	variable := "$" + v.Tag.Envs[0]
	return strings.Replace(text, variable+")", variable+", or a file named by "+fileVariable(variable)+")", 1)
}

func fileVariable(variable string) string { return variable + "_FILE" }

// settingMapper maps the text that the rules leave.
type settingMapper struct {
	kong.Mapper
	settings *settings
}

// Decode reads one value, whether it is a flag's, a variable's or a default.
func (m settingMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	text, isText := token.Value.(string)
	if !isText || !token.IsValue() || (ctx.Value.IsBool() && token.Type != kong.FlagValueToken) {
		return m.Mapper.Decode(ctx, target)
	}
	ctx.Scan.Pop()
	text = clean(ctx.Value, text)
	if text == "" {
		var err error
		if text, err = m.settings.environment(ctx.Value); err != nil {
			return err
		}
	}
	if text == "" {
		text = ctx.Value.Default
	}
	if text == "" {
		return nil
	}
	return m.Mapper.Decode(ctx.WithScanner(kong.Scan().PushTyped(text, kong.FlagValueToken)), target)
}

// resolve returns, for kong, the environment's value of a flag that is not on the command line; nil for none.
func (s *settings) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if len(flag.Tag.Envs) == 0 {
		return nil, nil
	}
	text, err := s.environment(flag.Value)
	if err != nil || text == "" {
		return nil, err
	}
	// kong would read the value next, but its errors name the flag alone and repeat the value.
	variable := flag.Tag.Envs[0]
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(text, kong.FlagValueToken)
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		if flag.Tag.Has(fileTag) {
			return nil, fmt.Errorf("%s: the value is not valid", variable)
		}
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	if flag.Enum != "" && target.Kind() == reflect.String && !flag.EnumMap()[target.String()] {
		return nil, fmt.Errorf("%s: want one of %s, got %q", variable, strings.Join(flag.EnumSlice(), ", "), text)
	}
	return text, nil
}

// environment is the value of the setting's variable or of its file, "" where neither is set.
func (s *settings) environment(v *kong.Value) (string, error) {
	variable := v.Tag.Envs[0]
	if read, known := s.read[variable]; known {
		return read()
	}
	text := clean(v, os.Getenv(variable))
	var err error
	if path := trim(os.Getenv(fileVariable(variable))); path != "" && v.Tag.Has(fileTag) {
		if text != "" {
			err = fmt.Errorf("%s and %s are both set; set one of them", variable, fileVariable(variable))
		} else if text, err = readSetting(path); err != nil {
			err = fmt.Errorf("%s: %w", fileVariable(variable), err)
		} else {
			text = clean(v, text)
		}
	}
	s.read[variable] = func() (string, error) { return text, err }
	return text, err
}

// maxSettingFile is more octets than any setting has.
const maxSettingFile = 64 << 10

// readSetting reads a file that holds one value. Errors name the file and never its content.
func readSetting(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxSettingFile+1))
	switch text := trim(string(content)); {
	case err != nil:
		return "", err
	case len(content) > maxSettingFile:
		return "", fmt.Errorf("%s holds more than %d octets", path, maxSettingFile)
	case !utf8.Valid(content) || strings.ContainsRune(text, 0): // such as UTF-16, which PowerShell writes
		return "", fmt.Errorf("%s is not a text file in UTF-8", path)
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	default:
		return text, nil
	}
}

// clean takes the white space off a value, and off the entries of a list, and drops entries that are empty.
func clean(v *kong.Value, text string) string {
	if !v.IsSlice() || v.Tag.Sep == -1 {
		return trim(text)
	}
	var entries []string
	for _, entry := range kong.SplitEscaped(text, v.Tag.Sep) {
		if entry = trim(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return kong.JoinEscaped(entries, v.Tag.Sep)
}

// trim takes white space off both ends: Unicode's, NBSP included, and the marks that show as nothing but come with text
// from editors and web pages (byte order mark, zero-width space, word joiner).
func trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' || r == '\u2060'
	})
}
