package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

type portalsCommand struct {
	List    portalsList    `cmd:"" help:"List the portals."`
	Create  portalsCreate  `cmd:"" help:"Make a portal."`
	Show    portalsShow    `cmd:"" help:"Show a portal's settings as JSON."`
	Enable  portalsEnable  `cmd:"" help:"Open a portal's doors."`
	Disable portalsDisable `cmd:"" help:"Shut a portal's doors."`
}

type portalsList struct{ config.Database }

// Run lists the portals, newest first.
func (p *portalsList) Run(ctx context.Context, to output) error {
	return withDirectory(ctx, p.Database, to, func(ctx context.Context, in app.Directory) error {
		table := newTable("SLUG", "NAME", "ENABLED", "CREATED")
		const batch = 200
		for before := (ids.Portal{}); ; {
			found, err := in.Portals.List(ctx, before, batch)
			if err != nil {
				return err
			}
			for _, p := range found {
				table.row(p.Slug, p.Name, strconv.FormatBool(p.Enabled), p.CreatedAt.Format(time.RFC3339))
				before = p.ID
			}
			if len(found) < batch {
				return table.print(to.Out)
			}
		}
	})
}

type portalsCreate struct {
	config.Database
	Slug string `arg:"" help:"The portal's name in addresses: lower-case letters, digits and dashes. It never changes."`
	Name string `required:"" help:"The portal's name as people read it."`
}

// Run makes a portal with the default settings.
func (p *portalsCreate) Run(ctx context.Context, to output) error {
	p.MayCreate = true
	return withDirectory(ctx, p.Database, to, func(ctx context.Context, in app.Directory) error {
		settings := portal.Defaults()
		settings.Name = p.Name
		made, err := in.Portals.Create(ctx, p.Slug, settings)
		if err != nil {
			return explained(err)
		}
		_, err = fmt.Fprintln(to.Out, made.Slug)
		return err
	})
}

type portalsShow struct {
	config.Database
	Slug string `arg:"" help:"The portal."`
}

// Run shows a portal's settings.
func (p *portalsShow) Run(ctx context.Context, to output) error {
	return withDirectory(ctx, p.Database, to, func(ctx context.Context, in app.Directory) error {
		found, err := in.Portals.Find(ctx, p.Slug)
		if err != nil {
			return explained(err)
		}
		encoder := json.NewEncoder(to.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(found.Settings)
	})
}

type portalsEnable struct{ portalsShow }

// Run opens a portal's doors.
func (p *portalsEnable) Run(ctx context.Context, to output) error { return p.set(ctx, to, true) }

type portalsDisable struct{ portalsShow }

// Run shuts a portal's doors.
func (p *portalsDisable) Run(ctx context.Context, to output) error { return p.set(ctx, to, false) }

func (p *portalsShow) set(ctx context.Context, to output, enabled bool) error {
	return withDirectory(ctx, p.Database, to, func(ctx context.Context, in app.Directory) error {
		_, err := in.Portals.Update(ctx, p.Slug, func(settings *portal.Settings) error {
			settings.Enabled = enabled
			return nil
		})
		return explained(err)
	})
}
