package database

import (
	"errors"

	"github.com/glebarez/sqlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// dialector ties GORM to the pool. Each translates errors with Err: GORM's own translation for SQLite drops which
// constraint was broken.
func dialector(d Dialect, p *pool) gorm.Dialector {
	if d == SQLite {
		return sqliteDialector{&sqlite.Dialector{Conn: p}}
	}
	return postgresDialector{&postgres.Dialector{Config: &postgres.Config{Conn: p}}}
}

type sqliteDialector struct{ *sqlite.Dialector }

func (sqliteDialector) Translate(err error) error { return translateForGORM(err) }

type postgresDialector struct{ *postgres.Dialector }

func (postgresDialector) Translate(err error) error { return translateForGORM(err) }

// translateForGORM leaves alone what GORM itself compares with.
func translateForGORM(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return err
	}
	return Err(err)
}

// Lock is what makes a query lock its rows on Postgres, "FOR UPDATE OF a" say. SQLite's transaction is alone anyway.
func (d Dialect) Lock(how string) string {
	if d == Postgres {
		return " " + how
	}
	return ""
}
