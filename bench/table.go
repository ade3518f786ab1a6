package bench

import (
	"fmt"
	"io"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/binding/optest"
)

// Table measures the cases that keep accepts, with one thread and with all, and writes them as a Markdown table.
func Table(w io.Writer, isa binding.ISA, rounds int, keep func(optest.Case) bool) error {
	var columns [2]*Runner
	var ceilings [2]Ceilings
	for i, threads := range []int{1, 0} {
		r, err := NewRunner(threads, isa)
		if err != nil {
			return err
		}
		defer r.Close()
		columns[i] = r
		if ceilings[i], err = r.Probe(3); err != nil {
			return err
		}
	}
	one, err := columns[0].Info()
	if err != nil {
		return err
	}
	all, err := columns[1].Info()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, %v. One thread: %v. %d threads: %v.\n\n", one.Device, one.ISA, ceilings[0], all.Threads, ceilings[1])
	fmt.Fprintf(w, "| op | case | roof | 1 thread | | %d threads | |\n|---|---|---|---|---|---|---|\n", all.Threads)
	for _, c := range optest.Cases() {
		if !c.Bench || !keep(c) {
			continue
		}
		var cells string
		var roof string
		for _, r := range columns {
			f, err := r.Measure(c, rounds)
			if err != nil {
				return fmt.Errorf("bench: %v: %w", c, err)
			}
			rate, unit := f.Roof.Rate(c, f.Seconds)
			roof = f.Roof.Name
			cells += fmt.Sprintf(" %.1f %s | %.0f %% |", rate, unit, 100*f.Share)
		}
		if _, err := fmt.Fprintf(w, "| %s | %s | %s |%s\n", c.Op, c.Name, roof, cells); err != nil {
			return err
		}
	}
	return nil
}
