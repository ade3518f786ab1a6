package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// A memFS is a file system in memory that keeps a log of what was done to it and
// what of it was flushed, and so can say what a crash would leave.
type memFS struct {
	base, img image // before the log (nil after crash, until settle), after it
	log       []op
	next      int
	locked    map[string]bool
	free      int64                                   // what Free says; negative means it does not know
	fault     func(call, name string, p []byte) error // asked before every call
	chunk     int                                     // a write is logged in pieces of this size

	ignoreSyncFile, ignoreSyncDir bool // for tests of the tests
}

type opKind int

const (
	opLink opKind = iota
	opUnlink
	opRename
	opWrite
	opSyncFile
	opSyncDir
)

type op struct {
	kind  opKind
	dir   int // the directory whose entry is concerned
	name  string
	to    string // the new name of a rename, in the same directory
	inode int
	isDir bool
	off   int
	data  []byte
}

func (o *op) metadata() bool { return o.kind <= opRename }

type node struct {
	entries map[string]int // nil for a file
	data    []byte
	link    bool
}

type image map[int]*node

func (m image) clone() image {
	c := make(image, len(m))
	for i, n := range m {
		c[i] = &node{maps.Clone(n.entries), n.data, n.link} // data is copied when it is written
	}
	return c
}

func (m image) node(inode int, isDir bool) *node {
	n := m[inode]
	if n == nil {
		n = new(node)
		if isDir {
			n.entries = make(map[string]int)
		}
		m[inode] = n
	}
	return n
}

func (m image) apply(o *op) {
	switch o.kind {
	case opLink:
		m.node(o.inode, o.isDir)
		m.node(o.dir, true).entries[o.name] = o.inode
	case opUnlink:
		if e := m.node(o.dir, true).entries; e[o.name] == o.inode {
			delete(e, o.name)
		}
	case opRename:
		m.node(o.inode, o.isDir)
		e := m.node(o.dir, true).entries
		if e[o.name] == o.inode {
			delete(e, o.name)
		}
		e[o.to] = o.inode
	case opWrite:
		n := m.node(o.inode, false)
		data := make([]byte, max(len(n.data), o.off+len(o.data)))
		copy(data, n.data)
		copy(data[o.off:], o.data)
		n.data = data
	}
}

const root = 1

func newMemFS() *memFS {
	m := fromImage(image{root: &node{entries: make(map[string]int)}}, root+1)
	m.settle()
	return m
}

func fromImage(img image, next int) *memFS {
	return &memFS{img: img, next: next, locked: make(map[string]bool), free: -1, chunk: 512}
}

// settle forgets the log: all of it is on the disk.
func (m *memFS) settle() {
	m.base, m.log = m.img.clone(), nil
}

// A power model says which operations of a log survive.
type power int

const (
	kill  power = iota // all
	none               // what was flushed and nothing else
	ext4               // entries as far as some point in order, data at random; any flush takes the entries before it along
	posix              // all that was not flushed at random
)

func (p power) String() string { return [...]string{"kill", "none", "ext4", "posix"}[p] }

// durable returns which of log's operations survive for certain.
func (p power) durable(log []op) []bool {
	keep := make([]bool, len(log))
	for i := range log {
		s := &log[i]
		for j := range log[:i] {
			switch o := &log[j]; {
			case o.kind == opWrite && s.kind == opSyncFile && o.inode == s.inode,
				o.metadata() && s.kind == opSyncDir && o.dir == s.inode,
				o.metadata() && p == ext4 && !s.metadata() && s.kind != opWrite:
				keep[j] = true
			}
		}
	}
	if p == kill {
		for i := range keep {
			keep[i] = true
		}
	}
	return keep
}

// survivors returns which of log's operations are there after a crash, and a
// name for the choice.
func (p power) survivors(log []op, durable []bool, rng *rand.Rand) ([]bool, string) {
	keep, key := slices.Clone(durable), make([]byte, len(log))
	share, prefix := rng.Float64(), rng.IntN(len(log)+1)
	for i := range log {
		switch {
		case keep[i] || log[i].kind > opWrite || p == none:
		case p == ext4 && log[i].metadata():
			keep[i] = i < prefix
		default:
			keep[i] = rng.Float64() < share
		}
		if keep[i] {
			key[i] = 1
		}
	}
	return keep, string(key)
}

// crash returns what is left when the power fails after n operations of the log.
func (m *memFS) crash(n int, keep []bool) *memFS {
	img := m.base.clone()
	for i := range m.log[:n] {
		if keep[i] {
			img.apply(&m.log[i])
		}
	}
	return fromImage(img, m.next)
}

func (m *memFS) do(o op) {
	m.log = append(m.log, o)
	m.img.apply(&o)
}

func (m *memFS) ask(call, name string) error {
	if m.fault == nil {
		return nil
	}
	if err := m.fault(call, name, nil); err != nil {
		return &fs.PathError{Op: call, Path: name, Err: err}
	}
	return nil
}

// find returns the inode of a path, and the directory that it is in.
func (m *memFS) find(call, name string) (dir, inode int, base string, err error) {
	parts := strings.Split(strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/"), "/")
	inode = root
	for i, part := range parts {
		if part == "" || part == "." {
			continue
		}
		dir = inode
		n := m.img[dir]
		if n == nil || n.entries == nil {
			return 0, 0, "", &fs.PathError{Op: call, Path: name, Err: errors.New("not a directory")}
		}
		next, ok := n.entries[part]
		if !ok && i < len(parts)-1 {
			return 0, 0, "", &fs.PathError{Op: call, Path: name, Err: fs.ErrNotExist}
		}
		inode, base = next, part
	}
	return dir, inode, base, nil
}

func (m *memFS) existing(call, name string) (dir, inode int, base string, err error) {
	if err := m.ask(call, name); err != nil {
		return 0, 0, "", err
	}
	dir, inode, base, err = m.find(call, name)
	if err == nil && inode == 0 {
		err = &fs.PathError{Op: call, Path: name, Err: fs.ErrNotExist}
	}
	return dir, inode, base, err
}

func (m *memFS) link(call, name string, isDir bool) (int, error) {
	if err := m.ask(call, name); err != nil {
		return 0, err
	}
	dir, inode, base, err := m.find(call, name)
	if err == nil && inode != 0 {
		err = &fs.PathError{Op: call, Path: name, Err: fs.ErrExist}
	}
	if err != nil {
		return 0, err
	}
	inode = m.next
	m.next++
	m.do(op{kind: opLink, dir: dir, name: base, inode: inode, isDir: isDir})
	return inode, nil
}

func (m *memFS) Mkdir(name string) error {
	_, err := m.link("mkdir", name, true)
	return err
}

func (m *memFS) Create(name string) (WriteFile, error) {
	inode, err := m.link("create", name, false)
	if err != nil {
		return nil, err
	}
	return &memFile{m, inode, name, 0}, nil
}

type memFile struct {
	m     *memFS
	inode int
	name  string
	off   int
}

// errShort makes a write write half and say nothing.
var errShort = errors.New("short write")

func (f *memFile) Write(p []byte) (int, error) {
	written := p
	var err error
	if f.m.fault != nil {
		if err = f.m.fault("write", f.name, p); err != nil {
			written = p[:len(p)/2] // a disk that is full takes a part
		}
	}
	for part := range slices.Chunk(written, f.m.chunk) {
		f.m.do(op{kind: opWrite, inode: f.inode, off: f.off, data: bytes.Clone(part)})
		f.off += len(part)
	}
	if errors.Is(err, errShort) {
		err = nil
	}
	return len(written), err
}

func (f *memFile) Sync() error {
	if err := f.m.ask("sync", f.name); err != nil {
		return err
	}
	if !f.m.ignoreSyncFile {
		f.m.do(op{kind: opSyncFile, inode: f.inode})
	}
	return nil
}

func (f *memFile) Close() error { return f.m.ask("close", f.name) }

func (m *memFS) Open(name string) (io.ReadCloser, error) {
	_, inode, _, err := m.existing("open", name)
	if err != nil {
		return nil, err
	}
	if n := m.img[inode]; n.entries != nil || n.link {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return &memReader{bytes.NewReader(m.img[inode].data), m, name}, nil
}

type memReader struct {
	*bytes.Reader
	m    *memFS
	name string
}

func (r *memReader) Read(p []byte) (int, error) {
	if err := r.m.ask("read", r.name); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// The reader's own WriteTo would go round Read.
func (r *memReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (r *memReader) Close() error { return nil }

func (m *memFS) Rename(old, new string) error {
	dir, inode, base, err := m.existing("rename", old)
	if err != nil {
		return err
	}
	dir2, there, base2, err := m.find("rename", new)
	if err != nil {
		return err
	}
	if there != 0 {
		return &fs.PathError{Op: "rename", Path: new, Err: fs.ErrExist}
	}
	if dir != dir2 {
		panic(fmt.Sprintf("rename %s to %s: the model has renames within a directory only", old, new))
	}
	m.do(op{kind: opRename, dir: dir, name: base, to: base2, inode: inode, isDir: m.img[inode].entries != nil})
	return nil
}

func (m *memFS) Remove(name string) error {
	dir, inode, base, err := m.existing("remove", name)
	if err != nil {
		return err
	}
	if len(m.img[inode].entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
	}
	m.do(op{kind: opUnlink, dir: dir, name: base, inode: inode})
	return nil
}

func (m *memFS) SyncFile(name string) error {
	_, inode, _, err := m.existing("sync", name)
	if err == nil && !m.ignoreSyncFile {
		m.do(op{kind: opSyncFile, inode: inode})
	}
	return err
}

func (m *memFS) SyncDir(name string) error {
	_, inode, _, err := m.existing("syncdir", name)
	if err == nil && !m.ignoreSyncDir {
		m.do(op{kind: opSyncDir, inode: inode})
	}
	return err
}

func (m *memFS) List(name string) ([]Info, error) {
	_, inode, _, err := m.existing("list", name)
	if err != nil {
		return nil, err
	}
	n := m.img[inode]
	if n.entries == nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: errors.New("not a directory")}
	}
	var infos []Info
	for _, e := range slices.Sorted(maps.Keys(n.entries)) {
		infos = append(infos, m.info(e, n.entries[e]))
	}
	return infos, nil
}

func (m *memFS) info(name string, inode int) Info {
	n := m.img[inode]
	switch {
	case n.entries != nil:
		return Info{Name: name, Type: fs.ModeDir}
	case n.link:
		return Info{Name: name, Type: fs.ModeSymlink}
	}
	return Info{Name: name, Size: int64(len(n.data))}
}

func (m *memFS) Stat(name string) (Info, error) {
	_, inode, base, err := m.existing("stat", name)
	if err != nil {
		return Info{}, err
	}
	return m.info(base, inode), nil
}

func (m *memFS) Free(string) (int64, bool) { return m.free, m.free >= 0 }

func (m *memFS) Lock(name string) (func(), error) {
	if m.locked[name] {
		return nil, ErrLocked
	}
	m.locked[name] = true
	return func() { delete(m.locked, name) }, nil
}

// edit changes a file's bytes behind the log's back.
func (m *memFS) edit(name string, change func([]byte) []byte) {
	_, inode, _, err := m.find("edit", name)
	if err != nil || inode == 0 {
		panic(fmt.Sprintf("edit %s: %v", name, err))
	}
	m.img[inode].data = change(bytes.Clone(m.img[inode].data))
}
