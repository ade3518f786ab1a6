package engine

import (
	"fmt"

	"github.com/thinker-vl/thinker/binding"
)

// kvCache is the paged cache of keys and values: pages of binding.Chunk positions, each holding all layers of those positions, so
// that a page is one stretch of memory to clear or copy. Pages are shared by reference count: the full pages of a prompt belong to
// all of its samples.
type kvCache struct {
	d          *binding.Device
	buf        *binding.Buffer
	layerBytes int // of one layer's part of a page
	pageBytes  int
	pages      int
	free       []int32
	refs       []int32
	reserved   int // pages promised to sequences and not yet taken
}

func newKVCache(d *binding.Device, dtype uint32, layers, kvHeads, dim, pages int) (*kvCache, error) {
	c := &kvCache{d: d, pages: pages, layerBytes: kvHeads * binding.KVTileBytes(dtype, dim)}
	c.pageBytes = layers * c.layerBytes
	buf, err := d.Alloc(pages * c.pageBytes)
	if err != nil {
		return nil, fmt.Errorf("engine: KV cache of %d pages: %w", pages, err)
	}
	c.buf = buf
	c.refs = make([]int32, pages)
	for p := pages - 1; p >= 0; p-- {
		c.free = append(c.free, int32(p))
	}
	return c, nil
}

func (c *kvCache) Close() error { return c.buf.Close() }

// available is the number of pages that nobody holds or was promised.
func (c *kvCache) available() int { return len(c.free) - c.reserved }

// layer is the address of page 0 of a layer, for the ABI's kv_write and attention_paged.
func (c *kvCache) layer(l int) uint64 { return c.buf.Addr() + uint64(l*c.layerBytes) }

func (c *kvCache) address(page int32) uint64 {
	return c.buf.Addr() + uint64(page)*uint64(c.pageBytes)
}

// take returns a page of zeros: whatever an earlier sequence left there, infinities included, must not meet a weight of 0.
func (c *kvCache) take() (int32, error) {
	p := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.refs[p] = 1
	return p, c.d.Fill(&binding.FillArgs{DType: binding.F32, X: c.address(p), N: uint64(c.pageBytes / 4)})
}

func (c *kvCache) drop(page int32) {
	if c.refs[page]--; c.refs[page] == 0 {
		c.free = append(c.free, page)
	}
}

// A kvSequence is one sequence's keys and values: its pages, how many positions they hold, and how many more pages it was promised.
type kvSequence struct {
	cache    *kvCache
	pages    []int32
	length   int
	promised int
}

func pagesFor(tokens int) int { return (tokens + binding.Chunk - 1) / binding.Chunk }

// reserve promises the sequence n pages; the caller has checked that they are available.
func (s *kvSequence) reserve(n int) {
	s.promised += n
	s.cache.reserved += n
}

// grow makes room for n more positions out of the promised pages.
func (s *kvSequence) grow(n int) error {
	for len(s.pages)*binding.Chunk < s.length+n {
		if s.promised == 0 {
			return fmt.Errorf("engine: a sequence of %d tokens outgrew its %d pages", s.length+n, len(s.pages))
		}
		p, err := s.cache.take()
		if err != nil {
			return err
		}
		s.promised--
		s.cache.reserved--
		s.pages = append(s.pages, p)
	}
	return nil
}

// slot is where position i lives.
func (s *kvSequence) slot(i int) int32 {
	return s.pages[i/binding.Chunk]*binding.Chunk + int32(i%binding.Chunk)
}

// fork returns a sequence that begins with s: it shares s's full pages and copies the last, partly filled one. It is promised pages
// for capacity positions in all.
func (s *kvSequence) fork(capacity int) (*kvSequence, error) {
	c := s.cache
	f := &kvSequence{cache: c, length: s.length}
	full := s.length / binding.Chunk
	f.reserve(forkPages(s.length, capacity))
	for _, p := range s.pages[:full] {
		c.refs[p]++
		f.pages = append(f.pages, p)
	}
	if s.length%binding.Chunk != 0 {
		if err := f.grow(0); err != nil {
			return nil, err
		}
		if err := c.d.Copy(c.address(f.pages[full]), c.address(s.pages[full]), c.pageBytes); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// forkPages is the number of pages of its own that a fork of a sequence of length tokens needs to reach capacity.
func forkPages(length, capacity int) int { return pagesFor(capacity) - length/binding.Chunk }

// release gives everything back.
func (s *kvSequence) release() {
	for _, p := range s.pages {
		s.cache.drop(p)
	}
	s.cache.reserved -= s.promised
	*s = kvSequence{}
}
