package main

import (
	"context"
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/config"
)

type migrateCommand struct{ config.Database }

// Run brings the database up to this version.
func (m *migrateCommand) Run(ctx context.Context, to output) error {
	m.MayCreate = true
	db, err := openDatabase(ctx, m.Database, newLogger(m.Database, to.Log))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = fmt.Fprintln(to.Out, "the database is up to date")
	return err
}
