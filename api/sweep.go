package api

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Sweeping takes small batches, so that nobody waits for a lock that it holds.
const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 500
	// keptAfter is how long rows are kept after they are of use, to explain what happened (contract §2).
	keptAfter = 30 * 24 * time.Hour
)

// sweeps are the tasks that delete what is over; each runs on one instance at a time.
func (s *Server) sweeps(now func() time.Time, accounts *account.Repository, sessions *session.Repository,
	lockouts *lockout.Repository, secrets *onetime.Service, invitations *invitation.Repository) []delivery.Task {
	old := func(sweep func(context.Context, time.Time, int) (int, error)) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) { return sweep(ctx, now().Add(-keptAfter), sweepBatch) }
	}
	task := func(name string, sweep func(context.Context) (int, error)) delivery.Task {
		return delivery.Task{Name: "sweep " + name, Every: sweepEvery, Run: func(ctx context.Context) error {
			return untilNone(ctx, sweep)
		}}
	}
	return []delivery.Task{
		task("claims", old(accounts.SweepClaims)),
		task("sessions", old(sessions.Sweep)),
		task("lockouts", old(lockouts.Sweep)),
		task("invitations", old(invitations.Sweep)),
		task("deliveries", old(func(ctx context.Context, before time.Time, batch int) (int, error) {
			return s.messages.Sweep(ctx, before, batch)
		})),
		task("secrets", func(ctx context.Context) (int, error) { return secrets.Sweep(ctx, sweepBatch) }),
		{Name: "sweep audit", Every: sweepEvery, Run: func(ctx context.Context) error { return s.sweepAudit(ctx, now()) }},
	}
}

// sweepAudit deletes events as old as each portal lets them become.
func (s *Server) sweepAudit(ctx context.Context, now time.Time) error {
	retention := portal.Defaults().AuditRetention.Duration()
	if err := untilNone(ctx, func(ctx context.Context) (int, error) {
		return s.audit.Sweep(ctx, audit.Installation, now.Add(-retention), sweepBatch)
	}); err != nil {
		return err
	}
	return s.portals.Each(ctx, func(p *portal.Portal) error {
		return untilNone(ctx, func(ctx context.Context) (int, error) {
			return s.audit.Sweep(ctx, p.ID, now.Add(-p.AuditRetention.Duration()), sweepBatch)
		})
	})
}

// untilNone sweeps batch after batch until one is not full.
func untilNone(ctx context.Context, sweep func(context.Context) (int, error)) error {
	for {
		if n, err := sweep(ctx); err != nil || n < sweepBatch {
			return err
		}
	}
}
