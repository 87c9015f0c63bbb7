package queue

import (
	"context"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Urgency is how long a job may wait for others.
type Urgency int

// The urgencies, the most urgent first.
const (
	// Waiting means that a person waits for the job.
	Waiting Urgency = iota
	// Single means that an administrator caused this one job.
	Single
	// Bulk means that the job is one of many. Bulk jobs have workers of their own, so that even slow ones leave the
	// workers of other jobs alone.
	Bulk
)

// bulkQueue is River's queue of Bulk jobs.
const bulkQueue = "bulk"

// Turn decides when a job runs, compared to other jobs.
type Turn struct {
	Urgency Urgency
	// Owner is the portal that caused the job. Owners take turns, so that the many jobs of one owner hold up no job of
	// another.
	Owner string
}

const (
	// turnStep is the rate at which an owner's jobs get their turns while the owner has more than its share.
	turnStep = time.Second
	// turnHorizon is the lead of the first job of an owner over jobs that are run again, which have no turn any more.
	turnHorizon = 24 * time.Hour
	// maxOwners bounds the memory of turns. Owners whose turns are over go first.
	maxOwners = 10_000
)

// turns gives each job a place in the order in which River takes jobs of one priority: that of their scheduled time. The
// time of a job is in the past, turnHorizon before its turn. The turns of one owner are turnStep apart, so that the
// first job of another owner comes before most of a large batch (a virtual clock, as in fair queueing).
//
// Each instance gives turns for itself. It is safe for concurrent use.
type turns struct {
	mu   sync.Mutex
	next map[Turn]time.Time
}

// take returns the scheduled times of n more jobs.
func (t *turns) take(turn Turn, n int, now time.Time) []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prune(now)
	at := t.next[turn]
	if at.Before(now) {
		at = now
	}
	times := make([]time.Time, n)
	for i := range times {
		times[i] = at.Add(-turnHorizon)
		if times[i].After(now) {
			times[i] = now // a scheduled time in the future would delay the job
		} else {
			at = at.Add(turnStep)
		}
	}
	t.next[turn] = at
	return times
}

// prune forgets owners whose turns are over; all of them if they are too many.
func (t *turns) prune(now time.Time) {
	if t.next == nil || len(t.next) >= 2*maxOwners {
		t.next = make(map[Turn]time.Time)
	}
	if len(t.next) < maxOwners {
		return
	}
	for turn, at := range t.next {
		if at.Before(now) {
			delete(t.next, turn)
		}
	}
}

// options are how River inserts a job of an urgency at a scheduled time.
func (u Urgency) options(at time.Time) *river.InsertOpts {
	o := &river.InsertOpts{Priority: river.PriorityDefault + int(u), ScheduledAt: at}
	if u == Bulk {
		o.Queue = bulkQueue
	}
	return o
}

// makeReady makes a new job available that is scheduled for the past. River would leave it to its scheduler, which runs
// every 5 s.
func makeReady(_ context.Context, job *rivertype.JobInsertParams) error {
	if job.State == rivertype.JobStateScheduled && job.ScheduledAt != nil && !job.ScheduledAt.After(time.Now()) {
		job.State = rivertype.JobStateAvailable
	}
	return nil
}
