package database

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// target is a parsed database URL.
type target struct {
	dialect  Dialect
	path     string
	postgres *pgx.ConnConfig
	// modeGiven means that a Postgres URL says how statements are sent.
	modeGiven bool
}

// place names the database without a user or a password.
func (t target) place() string {
	if t.dialect == SQLite {
		return t.path
	}
	return cmp.Or(t.postgres.Database, t.postgres.User) + " on " + t.postgres.Host // Postgres takes the user's name too
}

// noDatabaseError is the error for a database that must exist and does not.
func noDatabaseError(place string) error {
	return fmt.Errorf("there is no database at %s; `latchkey migrate` or `latchkey serve` makes one", place)
}

// parseURL reads a database URL. It drops the error texts of net/url and pgx, because they repeat the URL.
func parseURL(raw string) (target, error) {
	scheme, rest, _ := strings.Cut(raw, ":")
	switch scheme {
	case "sqlite":
		path, err := sqlitePath(rest)
		return target{dialect: SQLite, path: path}, err
	case "postgres", "postgresql":
		return postgresTarget(raw)
	default:
		return target{}, errors.New("want sqlite:path/to/file.db or postgres://user:password@host:5432/name")
	}
}

// sqlitePath takes everything after "sqlite:" as the file's name, spaces, % and ? included, and makes it absolute.
func sqlitePath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("sqlite: wants the path of a file, as in sqlite:latchkey.db")
	case name == ":memory:":
		return "", errors.New("sqlite: a database in memory would be lost with its one connection; name a file")
	case strings.ContainsRune(name, 0):
		return "", errors.New("sqlite: the path holds a NUL byte")
	case strings.HasPrefix(name, "//") && !strings.HasPrefix(name, "///"):
		return "", errors.New("sqlite: write sqlite:relative/path.db or sqlite:/absolute/path.db")
	}
	path, err := filepath.Abs(filepath.FromSlash(name))
	if err != nil {
		return "", errors.New("sqlite: the working directory of a relative path is gone")
	}
	return path, nil
}

// modeSetting is the URL's member that says how pgx sends statements.
const modeSetting = "default_query_exec_mode"

func postgresTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, errors.New("this is not a URL; are special characters in the password percent-encoded")
	}
	config, err := pgx.ParseConfig(raw)
	if err != nil {
		return target{}, errors.New("a setting in the Postgres URL is not understood (host, port, sslmode, certificates, …)")
	}
	if mode := config.DefaultQueryExecMode; mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
		return target{}, errors.New(modeSetting + " must be cache_describe, describe_exec or cache_statement, or be left out: " +
			"a pooler such as PgBouncer is noticed without it")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return target{dialect: Postgres, postgres: config, modeGiven: u.Query().Has(modeSetting)}, nil
}
