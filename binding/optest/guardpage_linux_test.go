package optest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/thinker-vl/thinker/binding"
)

// guarded is memory whose last byte (or, if not atEnd, first) borders on a page that faults when it is touched.
func guarded(n int, atEnd bool, align int) (data []byte, free func(), err error) {
	page := os.Getpagesize()
	inner := (n + align + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, inner+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	for _, edge := range [][]byte{m[:page], m[page+inner:]} {
		if err := syscall.Mprotect(edge, syscall.PROT_NONE); err != nil {
			return nil, nil, err
		}
	}
	start := page
	if atEnd {
		start = (page + inner - n) / align * align
	}
	return m[start : start+n], func() { syscall.Munmap(m) }, nil
}

// callGuarded calls p's op with operands in guarded memory.
func callGuarded(d *binding.Device, p *Problem, atEnd bool) error {
	memory := Memory{}
	for _, name := range p.order {
		t := p.tensors[name]
		o, before, align := t.operand, t.before, 1
		if o.role == Scratch {
			if err := o.measure(p.spec, d); err != nil {
				return err
			}
			before, align = make([]byte, o.size()), 64
		}
		data, free, err := guarded(len(before), atEnd, align)
		if err != nil {
			return err
		}
		defer free()
		copy(data, before)
		addr := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(data))))
		if len(data) == 0 {
			addr = 64 // never to be touched
		}
		memory[name] = Place{addr, len(data)}
	}
	return Call(d, p.Args(memory))
}

const guardChild = "OPTEST_GUARD_CHILD"

// TestGuardPages runs every case with its operands at the edges of memory that may not be touched: an op that reads or writes beyond
// an operand, even if it does nothing with what it reads, faults. It does so in a child process, whose last word is the case.
func TestGuardPages(t *testing.T) {
	t.Parallel()
	if os.Getenv(guardChild) != "" {
		t.Skip("this is the child")
	}
	if !checked || testing.Short() {
		t.Skip("the whole tests without sanitizers run it: the same memory, the same faults")
	}
	open(t, binding.ISAAuto, 1) // skips where there is no back-end
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestGuardPagesChild$", "-test.v")
	cmd.Env = append(os.Environ(), guardChild+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		fault, _, _ := strings.Cut(errs.String(), "\n\n")
		t.Fatalf("%v\n%s\n%.600s", err, strings.Join(lines[max(0, len(lines)-4):], "\n"), fault)
	}
	if n := strings.Count(out.String(), "case "); n < 500 {
		t.Fatalf("the child ran %d cases only", n)
	}
}

func TestGuardPagesChild(t *testing.T) {
	if os.Getenv(guardChild) == "" {
		t.Skip("run by TestGuardPages")
	}
	devices := map[binding.ISA]*binding.Device{}
	for _, isa := range isas(t) {
		devices[isa] = open(t, isa, 2)
	}
	for _, c := range tested() {
		p := c.New()
		for isa, d := range devices {
			for _, atEnd := range []bool{true, false} {
				fmt.Printf("case %v, %v, at the end of its memory: %v\n", c, isa, atEnd)
				if err := callGuarded(d, p, atEnd); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
