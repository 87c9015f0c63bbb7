package database

import (
	"errors"

	"github.com/glebarez/sqlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// dialector ties GORM to the pool. Both translate errors with Err, because GORM's own translation for SQLite drops the
// name of the constraint.
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

// translateForGORM leaves alone the error that GORM itself compares with.
func translateForGORM(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return err
	}
	return Err(err)
}

// Lock returns how on Postgres ("FOR UPDATE OF a", say), where it makes a query lock its rows. SQLite needs no row
// locks: it runs one writing transaction at a time.
func (d Dialect) Lock(how string) string {
	if d == Postgres {
		return " " + how
	}
	return ""
}
