package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

type keysCommand struct {
	Create keysCreate `cmd:"" help:"Make an API key; it is shown once."`
	List   keysList   `cmd:"" help:"List the API keys."`
	Revoke keysRevoke `cmd:"" help:"Revoke an API key, at once and everywhere."`
	Reset  keysReset  `cmd:"" help:"Prepare a copied database for a new secret key: the original's sessions and tokens end in the copy."`
}

type keysCreate struct {
	config.Database
	Name      string         `required:"" help:"What the key is for."`
	Scope     []apikey.Scope `required:"" enum:"operator,admin,invitations:export,hashes,metrics" help:"${enum}; may be repeated."`
	Portal    string         `help:"The portal that the key is for; required, except for the scopes operator and metrics."`
	ExpiresIn time.Duration  `help:"How long the key is good; for ever if not given."`
}

// Run makes a key and shows it.
func (k *keysCreate) Run(ctx context.Context, to output) error {
	k.MayCreate = k.Portal == "" // a key for a portal needs one that is there
	return withDirectory(ctx, k.Database, to, func(ctx context.Context, in app.Directory) error {
		wanted := apikey.KeyRequest{Name: k.Name, Scopes: k.Scope, ExpiresIn: k.ExpiresIn}
		if err := wanted.Check(k.Portal != ""); err != nil {
			return explained(err)
		}
		if k.Portal != "" {
			p, err := in.Portals.Find(ctx, k.Portal)
			if err != nil {
				return explained(err)
			}
			wanted.PortalID = p.ID
		}
		_, text, err := in.APIKeys.Create(ctx, wanted)
		if err != nil {
			return explained(err)
		}
		_, err = fmt.Fprintln(to.Out, text)
		return err
	})
}

type keysList struct{ config.Database }

// Run lists the keys, newest first.
func (k *keysList) Run(ctx context.Context, to output) error {
	return withDirectory(ctx, k.Database, to, func(ctx context.Context, in app.Directory) error {
		table := newTable("ID", "NAME", "SCOPES", "PORTAL", "CREATED", "EXPIRES", "LAST USED")
		const batch = 200
		for before := (ids.APIKey{}); ; {
			found, err := in.APIKeys.List(ctx, nil, before, batch)
			if err != nil {
				return err
			}
			for _, key := range found {
				slug := "-"
				if !key.PortalID.IsZero() {
					if p, err := in.Portals.ByID(ctx, key.PortalID); err == nil {
						slug = p.Slug
					}
				}
				table.row(key.ID.String(), key.Name, joined(key.Scopes), slug, key.CreatedAt.Format(time.RFC3339),
					moment(key.ExpiresAt), moment(key.LastUsedAt))
				before = key.ID
			}
			if len(found) < batch {
				return table.print(to.Out)
			}
		}
	})
}

func joined(scopes []apikey.Scope) string {
	var texts []string
	for _, scope := range scopes {
		texts = append(texts, string(scope))
	}
	return strings.Join(texts, ",")
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339)
}

type keysRevoke struct {
	config.Database
	ID uuid.UUID `arg:"" help:"The key's id, as list shows it."`
}

// Run revokes a key.
func (k *keysRevoke) Run(ctx context.Context, to output) error {
	return withDirectory(ctx, k.Database, to, func(ctx context.Context, in app.Directory) error {
		return explained(in.APIKeys.Revoke(ctx, nil, ids.APIKey{UUID: k.ID}))
	})
}

type keysReset struct {
	config.Database
	Yes bool `help:"Really do it: everybody who is logged in to this database is logged out."`
}

// Run frees the database from its secret key. The next start ties it to the key that is configured then.
func (k *keysReset) Run(ctx context.Context, to output) error {
	if !k.Yes {
		return errors.New("this logs everybody out of this database, and makes every link and code that was sent worthless; " +
			"say --yes to do it")
	}
	return withDatabase(ctx, k.Database, to, func(ctx context.Context, db *database.DB) error {
		if err := digest.Reset(ctx, db); err != nil {
			return err
		}
		if path, embedded := k.EmbeddedPath(); embedded && k.SecretKey == "" {
			if err := os.Remove(config.KeyFile(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		_, err := fmt.Fprintln(to.Out, "the next start ties this database to the secret key that is configured then")
		return err
	})
}
