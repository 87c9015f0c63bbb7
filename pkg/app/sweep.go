package app

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// Sweeps delete small batches, so that the locks they hold keep nobody waiting.
const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 500
	// sendLostEvery is how often messages without a job are looked for.
	sendLostEvery = time.Minute
)

// Tasks are the periodic tasks. Most delete old rows of one kind.
func (a *App) Tasks() []queue.Task {
	old := func(sweep func(context.Context, time.Time, int) (int, error)) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) { return sweep(ctx, a.Now().Add(-database.Kept), sweepBatch) }
	}
	task := func(name string, sweep func(context.Context) (int, error)) queue.Task {
		return queue.Task{Name: "sweep " + name, Every: sweepEvery, Run: func(ctx context.Context) error {
			return untilNone(ctx, sweep)
		}}
	}
	return []queue.Task{
		task("unverified accounts", old(a.repos.accounts.SweepUnverified)),
		task("sessions", old(a.repos.sessions.Sweep)),
		task("lockouts", old(a.repos.lockouts.Sweep)),
		task("invitations", old(a.repos.invitations.Sweep)),
		task("deliveries", old(a.Messages.Sweep)),
		task("secrets", func(ctx context.Context) (int, error) { return a.Secrets.Sweep(ctx, sweepBatch) }),
		{Name: "sweep audit", Every: sweepEvery, Run: a.sweepAudit},
		{Name: "send lost messages", Every: sendLostEvery, Run: a.sendLost},
	}
}

// sendLost queues jobs for messages that have none.
func (a *App) sendLost(ctx context.Context) error {
	n, err := a.Messages.SendLost(ctx)
	if n > 0 {
		a.Log.WarnContext(ctx, "messages had lost their jobs, and are sent now", "messages", n)
	}
	return err
}

// sweepAudit deletes events that are older than their portal's setting allows.
func (a *App) sweepAudit(ctx context.Context) error {
	now, retention := a.Now(), portal.Defaults().AuditRetention.Duration()
	if err := untilNone(ctx, func(ctx context.Context) (int, error) {
		return a.Audit.Sweep(ctx, audit.Installation, now.Add(-retention), sweepBatch)
	}); err != nil {
		return err
	}
	return a.Portals.Each(ctx, func(p *portal.Portal) error {
		return untilNone(ctx, func(ctx context.Context) (int, error) {
			return a.Audit.Sweep(ctx, p.ID, now.Add(-p.AuditRetention.Duration()), sweepBatch)
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
