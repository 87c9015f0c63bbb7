package database

import (
	"context"
	"sync"

	"github.com/latchkey-auth/latchkey/pkg/database/tenantguard"
)

// ErrPortalNotBound means that a statement names a table of portals' data and does not bind its portal_id. It never
// ran.
var ErrPortalNotBound = tenantguard.ErrPortalNotBound

type acrossPortalsKey struct{}

// AcrossPortals lifts the guard for statements under the context that it returns: work that belongs to no portal, such
// as sweeping expired rows. why is for the reader of the code. A test keeps the list of callers.
func AcrossPortals(ctx context.Context, why string) context.Context {
	return context.WithValue(ctx, acrossPortalsKey{}, why)
}

// guards make the guard of each dialect, once, because reading the tables from the migrations takes a while.
var guards = map[Dialect]func() *tenantguard.Guard{
	Postgres: sync.OnceValue(func() *tenantguard.Guard {
		return tenantguard.New(tenantguard.Postgres, migrationText(Postgres))
	}),
	SQLite: sync.OnceValue(func() *tenantguard.Guard {
		return tenantguard.New(tenantguard.SQLite, migrationText(SQLite))
	}),
}
