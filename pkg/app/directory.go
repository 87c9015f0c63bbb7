package app

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Directory is the part of the program that works without a secret key: portals, API keys and the audit trail.
type Directory struct {
	DB      *database.DB
	Audit   *audit.Recorder
	Portals *portal.Service
	APIKeys *apikey.Service
}

// NewDirectory makes the services over a migrated database.
func NewDirectory(db *database.DB, now func() time.Time) Directory {
	recorder := audit.NewRecorder(db, now)
	return Directory{
		DB: db, Audit: recorder, Portals: portal.NewService(portal.NewRepository(db), recorder, now),
		APIKeys: apikey.NewService(apikey.NewRepository(db), recorder, now),
	}
}
