package reward

import (
	"container/list"
	"context"
	"sync"
)

// A key is a hash of all that a score depends on.
type key [32]byte

// A cache keeps the scores used last, and lets those who ask for the same one at a time share one call. Failures are not kept.
type cache[T any] struct {
	size int

	mu      sync.Mutex
	entries map[key]*list.Element
	order   list.List // of *entry[T], the one used last in front
	calls   map[key]*shared[T]
}

type entry[T any] struct {
	key   key
	value T
}

// shared is a call under way.
type shared[T any] struct {
	done  chan struct{}
	value T
	err   error
	lone  bool // it failed for its caller alone
}

func newCache[T any](size int) *cache[T] {
	return &cache[T]{size: size, entries: map[key]*list.Element{}, calls: map[key]*shared[T]{}}
}

// get returns the value of a key, by a call of f where it is not there; hit says that there was no call of one's own.
func (c *cache[T]) get(ctx context.Context, k key, f func() (T, error)) (value T, hit bool, err error) {
	for {
		c.mu.Lock()
		if e, ok := c.entries[k]; ok {
			c.order.MoveToFront(e)
			value = e.Value.(*entry[T]).value
			c.mu.Unlock()
			return value, true, nil
		}
		if s, ok := c.calls[k]; ok {
			c.mu.Unlock()
			select {
			case <-s.done:
			case <-ctx.Done():
				return value, false, failf(Cancelled, false, "%w", ctx.Err())
			}
			if s.err == nil || !s.lone {
				return s.value, s.err == nil, s.err
			}
			continue
		}
		s := &shared[T]{done: make(chan struct{}), lone: true, err: context.Canceled}
		c.calls[k] = s
		c.mu.Unlock()
		defer func() { // also where f panics
			c.mu.Lock()
			delete(c.calls, k)
			if s.err == nil {
				c.put(k, s.value)
			}
			c.mu.Unlock()
			close(s.done)
		}()
		value, err = f()
		s.value, s.err, s.lone = value, err, ctx.Err() != nil
		return value, false, err
	}
}

func (c *cache[T]) put(k key, value T) {
	if c.size <= 0 {
		return
	}
	c.entries[k] = c.order.PushFront(&entry[T]{k, value})
	if len(c.entries) > c.size {
		oldest := c.order.Back()
		delete(c.entries, oldest.Value.(*entry[T]).key)
		c.order.Remove(oldest)
	}
}
