package delivery

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

const (
	// lostAfter is how long a message waits before its job is looked for. A job that is merely slow may still come:
	// then the message has two jobs, and BeginTry lets one of them send it.
	lostAfter = 5 * time.Minute
	// lostBatch is how many messages are looked at in one transaction.
	lostBatch = 500
)

// overdue is a message that should have been tried by now.
type overdue struct {
	PortalID  ids.Portal
	ID        ids.Delivery
	CreatedAt int64
}

// SendLost queues jobs for messages that have none, and returns how many. A message loses its job when the database
// commits the message and loses the job: a distributed database that fails between its two commits, or a restored
// backup.
func (s *Service) SendLost(ctx context.Context) (int, error) {
	before, found := s.clock.Now().Add(-lostAfter), 0
	for last := (overdue{}); ; {
		batch, err := s.repo.overdue(ctx, before, last, lostBatch)
		if err != nil || len(batch) == 0 {
			return found, err
		}
		n, err := s.requeue(ctx, batch)
		found += n
		if err != nil || len(batch) < lostBatch {
			return found, err
		}
		last = batch[len(batch)-1]
	}
}

func (s *Service) requeue(ctx context.Context, batch []overdue) (int, error) {
	wanted := make([]string, len(batch))
	for i, m := range batch {
		wanted[i] = m.ID.String()
	}
	unfinished, err := s.queue.Unfinished(ctx, JobKind, wanted)
	if err != nil {
		return 0, err
	}
	n := 0
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		for _, m := range batch {
			if unfinished[m.ID.String()] {
				continue
			}
			turn := queue.Turn{Urgency: queue.Single, Owner: m.PortalID.String()}
			if err := s.queue.Insert(ctx, turn, Job{m.PortalID, m.ID}); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
