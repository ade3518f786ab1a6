package data

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync/atomic"
)

// Want says what every record must have.
type Want uint

// What a record must have. They may be joined.
const (
	WantGold     Want = 1 << iota // a gold answer and a verifier_type: to learn by rewards, and to be evaluated
	WantResponse                  // a response to imitate
)

// Options say how a set is read. The zero Options are strict, want no more than a question, and look for pictures beside the file.
type Options struct {
	Roots    []string                // folders that pictures may come from; none: of each file its folder and the folder images in it
	Skip     bool                    // leave bad records out and report them, in the place of an error
	Want     Want                    // what a record must have
	Types    []string                // the verifier types that are known; nil: any
	Type     string                  // the verifier_type of records without one
	Progress func(done, total int64) // of the files' bytes; called by one goroutine at a time

	maxRecord int // 0: MaxRecord; less in tests
}

// A Set is a list of records in files. It holds where they stand and not what they say, so its memory does not depend on their length.
// Its methods may be called by many goroutines at once.
type Set struct {
	src    *source
	index  []int32 // of the source's records; nil: all
	closed atomic.Bool
}

// A source is what the sets that were picked from one another share.
type source struct {
	files   []*file
	entries []entry
	roots   map[string]*root
	users   atomic.Int32 // sets that are not closed
}

// A file is an open file of records.
type file struct {
	parser
	*os.File
	info  os.FileInfo // when it was opened
	first int         // entry of the file
}

// An entry is where a record stands, and what is known of it.
type entry struct {
	off   int64
	n     uint32 // bytes
	sum   uint32 // CRC-32C of them
	line  uint32
	group int32 // the first record that shares a picture or an id with this one
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once, by the package

// Len is the number of records.
func (s *Set) Len() int {
	if s.index == nil {
		return len(s.src.entries)
	}
	return len(s.index)
}

func (s *Set) entry(i int) int {
	if s.index == nil {
		return i
	}
	return int(s.index[i])
}

// file returns the file that an entry is of.
func (s *source) file(entry int) *file {
	i, _ := slices.BinarySearchFunc(s.files, entry+1, func(f *file, n int) int { return cmp.Compare(f.first, n) })
	return s.files[i-1] // the last that begins at the entry or before it
}

// Record reads record i anew from its file. The caller may keep it, and change it.
func (s *Set) Record(i int) (*Record, error) {
	if i < 0 || i >= s.Len() {
		return nil, fmt.Errorf("data: record %d of a set of %d", i, s.Len())
	}
	number := s.entry(i)
	e, f := &s.src.entries[number], s.src.file(number)
	raw := make([]byte, e.n)
	n, err := f.ReadAt(raw, e.off)
	if n < len(raw) || crc32.Checksum(raw, castagnoli()) != e.sum {
		return nil, &Problem{File: f.file, Line: int(e.line), Reason: badFile, Err: f.changed(err)}
	}
	r, err := f.parse(raw, int(e.line))
	if err != nil {
		return nil, f.problem(r, err)
	}
	return r, nil
}

// changed says why a file no longer holds what it held.
func (f *file) changed(err error) error {
	now, e := f.Stat()
	switch {
	case e != nil:
		return fmt.Errorf("cannot read the record: %w", e)
	case now.Size() != f.info.Size():
		return fmt.Errorf("the file has changed since it was opened: it had %d bytes and has %d: open it again", f.info.Size(), now.Size())
	case !now.ModTime().Equal(f.info.ModTime()):
		return fmt.Errorf("the file has changed since it was opened, at %s: open it again", now.ModTime().Format("15:04:05"))
	case err != nil:
		return fmt.Errorf("cannot read the record: %w", err)
	}
	return fmt.Errorf("the record is not the one that was there when the file was opened: open it again")
}

func (p *parser) problem(r *Record, err error) *Problem {
	x := &Problem{File: p.file, Line: r.Line, ID: r.ID, Reason: badFile, Err: err}
	if f, ok := asFault(err); ok {
		x.Reason = f.reason
	}
	return x
}

// Digest is a digest of the records' text in their order: sets of the same digest hold the same, wherever it stands.
func (s *Set) Digest() string {
	h := sha256.New()
	var b [8]byte
	for i := range s.Len() {
		e := &s.src.entries[s.entry(i)]
		binary.LittleEndian.PutUint32(b[:], e.n)
		binary.LittleEndian.PutUint32(b[4:], e.sum)
		h.Write(b[:])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// OpenImage opens a picture of a record of the set, by its path as the record has it. Like [Open] it follows no link out of the roots.
func (s *Set) OpenImage(path string) (*os.File, error) {
	var all roots
	for _, r := range s.src.roots {
		all = append(all, r)
	}
	f, err := all.open(path)
	if err != nil {
		return nil, fmt.Errorf("data: picture %w", err)
	}
	return f, nil
}

// Pick returns the set of the records at indices, in their order. A record may be picked several times. It panics where there is none.
// Each of the sets must be closed for the files to be.
func (s *Set) Pick(indices []int) *Set {
	index := make([]int32, len(indices))
	for k, i := range indices {
		if i < 0 || i >= s.Len() {
			panic(fmt.Sprintf("data: record %d is picked of a set of %d", i, s.Len()))
		}
		index[k] = int32(s.entry(i))
	}
	s.src.users.Add(1)
	return &Set{src: s.src, index: index}
}

// Close closes the files, once the sets that were picked from this one are closed as well.
func (s *Set) Close() error {
	if s.closed.Swap(true) || s.src.users.Add(-1) > 0 {
		return nil
	}
	return s.src.close()
}
