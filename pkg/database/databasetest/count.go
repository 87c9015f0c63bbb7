package databasetest

import (
	"context"
	"slices"
	"sync"
)

// Counter counts the statements of one piece of work; BEGIN and COMMIT are not among them.
type Counter struct {
	mu    sync.Mutex
	texts []string
}

type counterKey struct{}

// CountStatements counts what runs under the context that it returns, and under those made from it, on databases that
// this package opened. context.WithoutCancel keeps the counter.
func CountStatements(ctx context.Context) (context.Context, *Counter) {
	c := new(Counter)
	return context.WithValue(ctx, counterKey{}, c), c
}

// N is the number of statements so far.
func (c *Counter) N() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.texts))
}

// Texts are the statements so far, in the order they were given to the database.
func (c *Counter) Texts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.texts)
}

// count is the observer of every database that this package opens.
func count(ctx context.Context, query string) {
	if c, ok := ctx.Value(counterKey{}).(*Counter); ok {
		c.mu.Lock()
		c.texts = append(c.texts, query)
		c.mu.Unlock()
	}
}
