package database

import (
	"context"
	"sync"

	"github.com/latchkey-auth/latchkey/pkg/database/tenantguard"
)

// ErrPortalNotBound means that a statement names a table of portals' data and does not bind its portal_id. It never ran.
var ErrPortalNotBound = tenantguard.ErrPortalNotBound

type acrossPortalsKey struct{}

// AcrossPortals lifts the guard for what runs under the context that it returns: work that belongs to no portal, such as
// sweeping what has expired. why is for the reader; a test keeps the list of callers.
func AcrossPortals(ctx context.Context, why string) context.Context {
	return context.WithValue(ctx, acrossPortalsKey{}, why)
}

// guards hold the guard of each dialect. Each is made once, because it reads the tables from the migrations.
var guards = map[Dialect]func() *tenantguard.Guard{
	Postgres: sync.OnceValue(func() *tenantguard.Guard {
		return tenantguard.New(tenantguard.Postgres, migrationText(Postgres))
	}),
	SQLite: sync.OnceValue(func() *tenantguard.Guard {
		return tenantguard.New(tenantguard.SQLite, migrationText(SQLite))
	}),
}
