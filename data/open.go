package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// ErrEmpty is wrapped by the error about files that hold no record, or none that can be kept.
var ErrEmpty = errors.New("no records")

// Open reads the files, checks every record in them, and that its pictures are there, and returns the set of the records in the order of
// the files. The first bad record is the error, a [*Problem]; with o.Skip bad records are left out and stand in the report. A file that
// cannot be followed to its end is an error in any case. The report is never nil.
func Open(ctx context.Context, o Options, files ...string) (*Set, *Report, error) {
	report := &Report{Types: map[string]int{}, Reasons: map[string]int{}}
	src := &source{roots: map[string]*root{}}
	b := &builder{Options: &o, source: src, report: report, seen: map[uint64]int32{}}
	if err := b.all(ctx, files); err != nil {
		src.close()
		return nil, report, err
	}
	src.entries = slices.Clone(src.entries) // of the length that it has
	for i := range src.entries {
		src.entries[i].group = b.find(int32(i))
	}
	src.users.Store(1)
	return &Set{src: src}, report, nil
}

func (s *source) close() error {
	var err error
	for _, f := range s.files {
		err = errors.Join(err, f.Close())
	}
	for _, r := range s.roots {
		err = errors.Join(err, r.Close())
	}
	return err
}

func asFault(err error) (*fault, bool) { return errors.AsType[*fault](err) }

// A builder fills a source.
type builder struct {
	*Options
	*source
	report *Report
	seen   map[uint64]int32 // the first record with a picture or an id, by its hash

	done, total int64 // bytes
}

func (b *builder) all(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return errors.New("data: no files to read")
	}
	for _, name := range names {
		if err := b.open(name); err != nil {
			return &Problem{File: name, Reason: badFile, Err: err}
		}
	}
	for _, f := range b.files {
		if err := b.read(ctx, f); err != nil {
			return err
		}
	}
	if b.report.Kept == 0 {
		return fmt.Errorf("data: %w in %s: %s", ErrEmpty, filesOf(names), b.report)
	}
	return nil
}

func filesOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// open opens a file and the folders of its pictures.
func (b *builder) open(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return pathless(err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file: want a file of JSON Lines, or of one JSON array")
	}
	f, err := os.Open(name)
	if err != nil {
		return pathless(err)
	}
	x := &file{File: f, info: info, parser: parser{Options: b.Options, file: name}}
	b.files = append(b.files, x)
	b.total += info.Size()
	dirs := b.Roots
	if len(dirs) == 0 {
		dir := filepath.Dir(name)
		dirs = []string{dir}
		if info, err := os.Stat(filepath.Join(dir, "images")); err == nil && info.IsDir() {
			dirs = append(dirs, filepath.Join(dir, "images"))
		}
	}
	for _, dir := range dirs {
		r := b.roots[dir]
		if r == nil {
			if r, err = openRoot(dir); err != nil {
				return fmt.Errorf("the folder of pictures %s: %w", dir, pathless(err))
			}
			b.roots[dir] = r
		}
		if !slices.Contains(x.roots, r) {
			x.roots = append(x.roots, r)
		}
	}
	return nil
}

// pathless takes the path off an error that is printed behind it.
func pathless(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// A batch is some records that are parsed together.
type batch struct {
	text  []byte
	items []item
	to    int64 // where the file was read to
	done  chan struct{}
	big   bool
}

// An item is a record of a batch, or a bad place of the file.
type item struct {
	span
	from, n int // in the batch's text
	sum     uint32
	typ     string
	keys    []uint64
	problem *Problem
	fatal   bool
}

const (
	batchRecords = 64
	batchBytes   = 256 << 10
)

// read reads a file: one goroutine finds the records, several parse them and look for their pictures, and this one takes them in order.
func (b *builder) read(ctx context.Context, f *file) error {
	f.first = len(b.entries)
	b.report.Files = append(b.report.Files, FileReport{Name: f.file, Bytes: f.info.Size()})
	fr := &b.report.Files[len(b.report.Files)-1]
	ctx, cancel := context.WithCancel(ctx)
	// Looking for a picture is waiting for a disk, or for a network.
	workers := max(16, 2*runtime.GOMAXPROCS(0))
	jobs, ordered := make(chan *batch), make(chan *batch, workers)
	big := make(chan struct{}, 1) // one batch of more than batchBytes is under way
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	s := newScanner(f.File, cmp.Or(b.maxRecord, MaxRecord))
	wait.Go(func() {
		defer close(ordered)
		defer close(jobs)
		for {
			t, more := scanBatch(s, f)
			if t.big = cap(t.text) > 2*batchBytes; t.big {
				select {
				case big <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
			for _, c := range []chan *batch{jobs, ordered} {
				select {
				case c <- t:
				case <-ctx.Done():
					return
				}
			}
			if !more {
				return
			}
		}
	})
	for range workers {
		wait.Go(func() {
			for t := range jobs {
				t.parse(f)
				if t.big {
					<-big
				}
				close(t.done)
			}
		})
	}
	for t := range ordered {
		<-t.done
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("data: reading %s: %w", f.file, context.Cause(ctx))
		}
		for i := range t.items {
			if err := b.take(fr, &t.items[i]); err != nil {
				return err
			}
		}
		if b.Progress != nil {
			b.Progress(b.done+t.to, b.total)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("data: reading %s: %w", f.file, context.Cause(ctx))
	}
	b.done += f.info.Size()
	fr.Format = "JSON Lines"
	if s.array {
		fr.Format = "JSON array"
	}
	return nil
}

// scanBatch reads the next records. It reports whether there are more.
func scanBatch(s *scanner, f *file) (t *batch, more bool) {
	t = &batch{done: make(chan struct{}), text: make([]byte, 0, batchBytes)}
	for len(t.items) < batchRecords && len(t.text) < batchBytes {
		from := len(t.text)
		text, at, err := s.next(t.text)
		t.text, t.to = text, s.at
		if err == io.EOF {
			return t, false
		}
		x := item{span: at, from: from, n: len(text) - from}
		if err != nil {
			x.problem = f.problem(&Record{Line: at.line}, err)
			_, ok := asFault(err)
			x.fatal = !ok
		}
		t.items = append(t.items, x)
		if x.fatal {
			return t, false
		}
	}
	return t, true
}

func (t *batch) parse(f *file) {
	table := castagnoli()
	for i := range t.items {
		x := &t.items[i]
		if x.problem != nil {
			continue
		}
		raw := t.text[x.from : x.from+x.n : x.from+x.n]
		r, err := f.parse(raw, x.line)
		if err != nil {
			x.problem = f.problem(r, err)
			continue
		}
		x.sum = crc32.Checksum(raw, table)
		x.typ = r.Type
		for _, path := range r.Images {
			x.keys = append(x.keys, hash("picture", path))
		}
		if r.ID != place(f.file, x.line) {
			x.keys = append(x.keys, hash("id", r.ID))
		}
	}
	t.text = nil
}

// hash is FNV-1a of two texts. That two of some hundred thousand collide is less likely than one in a hundred million, and would put two records
// on one side of a split.
func hash(a, b string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range []string{a, "\x00", b} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	return h
}

// take adds an item to the set, or its problem to the report.
func (b *builder) take(fr *FileReport, x *item) error {
	if p := x.problem; p != nil {
		if x.n > 0 {
			b.report.Records++
			fr.Records++
		}
		b.report.skip(p)
		if x.fatal || !b.Skip {
			return p
		}
		return nil
	}
	if len(b.entries) == math.MaxInt32 || x.line > math.MaxUint32 {
		return fmt.Errorf("data: %s has more than %d records or lines: split it", fr.Name, math.MaxInt32)
	}
	i := int32(len(b.entries))
	b.entries = append(b.entries, entry{off: x.off, n: uint32(x.n), sum: x.sum, line: uint32(x.line), group: i})
	for _, key := range x.keys {
		if first, ok := b.seen[key]; ok {
			b.join(first, i)
		} else {
			b.seen[key] = i
		}
	}
	b.report.Records++
	fr.Records++
	b.report.Kept++
	fr.Kept++
	b.report.Types[x.typ]++
	return nil
}

// find returns the first record of the group of record i.
func (b *builder) find(i int32) int32 {
	for b.entries[i].group != i {
		next := b.entries[i].group
		b.entries[i].group = b.entries[next].group
		i = next
	}
	return i
}

func (b *builder) join(i, j int32) {
	i, j = b.find(i), b.find(j)
	b.entries[max(i, j)].group = min(i, j)
}
