package app

import (
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
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
func NewDirectory(db *database.DB, now clock.Clock) Directory {
	recorder := audit.NewRecorder(db, now)
	return Directory{
		DB: db, Audit: recorder,
		Portals: portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: recorder, Now: now}),
		APIKeys: apikey.NewService(apikey.Dependencies{APIKeys: apikey.NewRepository(db), Audit: recorder, Now: now}),
	}
}
