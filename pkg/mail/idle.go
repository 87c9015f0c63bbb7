package mail

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxIdle is how many connections are kept: as many as the queue sends mails at once.
	maxIdle = 10
	// idleTime is how long one is kept. Relays hang up after some minutes (RFC 5321 §4.5.3.2.7), many of them sooner.
	idleTime = 20 * time.Second
)

// idle keeps connections between mails, the last used first.
type idle struct {
	mu    sync.Mutex
	kept  []*connection
	timer *time.Timer
}

func (i *idle) put(c *connection) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.kept) == maxIdle {
		go quit(c)
		return
	}
	c.used = time.Now()
	i.kept = append(i.kept, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleTime, i.expire)
	}
}

func (i *idle) take() *connection {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.kept) == 0 {
		return nil
	}
	last := len(i.kept) - 1
	c := i.kept[last]
	i.kept = i.kept[:last]
	return c
}

// expire closes connections that were not used for idleTime. It runs again later while any are kept.
func (i *idle) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	old := 0
	for old < len(i.kept) && time.Since(i.kept[old].used) >= idleTime {
		go quit(i.kept[old])
		old++
	}
	i.kept = slices.Delete(i.kept, 0, old)
	i.timer = nil
	if len(i.kept) > 0 {
		i.timer = time.AfterFunc(idleTime-time.Since(i.kept[0].used), i.expire)
	}
}

func (i *idle) drain() {
	i.mu.Lock()
	kept := i.kept
	i.kept = nil
	i.mu.Unlock()
	for _, c := range kept {
		quit(c)
	}
}

// quit says QUIT, and closes the connection even if the relay does not answer.
func quit(c *connection) {
	_, _, _ = c.say(time.Second, 221, "QUIT")
	c.close()
}
