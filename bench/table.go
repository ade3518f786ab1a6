package bench

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report as a table: a row for each case, and for each number of threads its time, speed and share of the roof.
func (r *Report) Markdown(w io.Writer) error {
	var threads []int
	type cell map[int]Result // by threads
	var names []string
	rows := map[string]cell{}
	seen := map[int]bool{}
	for _, x := range r.Results {
		if !seen[x.Threads] {
			seen[x.Threads] = true
			threads = append(threads, x.Threads)
		}
		name := x.Case.String()
		if rows[name] == nil {
			rows[name] = cell{}
			names = append(names, name)
		}
		rows[name][x.Threads] = x
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %v.", r.Info.Device, r.Info.ISA)
	if len(r.Results) > 0 {
		b.WriteString(" Best probes:")
		for i, n := range threads {
			if i > 0 {
				b.WriteByte(';')
			}
			fmt.Fprintf(&b, " %s", plural(n, "thread"))
			sep := " "
			for roof := RoofFMA; roof <= RoofTile; roof++ {
				if at := r.ceiling(n, roof); at > 0 {
					fmt.Fprintf(&b, "%s%s %s", sep, roof, speed(at, roof))
					sep = ", "
				}
			}
		}
		b.WriteByte('.')
	}
	b.WriteString("\n\n| op | sizes | dtype |")
	rule := "|---|---|---|"
	for _, n := range threads {
		fmt.Fprintf(&b, " %s | | |", plural(n, "thread"))
		rule += "--:|--:|--:|"
	}
	b.WriteString("\n" + rule + "\n")
	for _, name := range names {
		op, sizes, _ := strings.Cut(name, "/")
		i := strings.LastIndex(sizes, "/dtype=")
		fmt.Fprintf(&b, "| %s | %s | %s |", op, strings.ReplaceAll(sizes[:max(i, 0)], "/", " "), sizes[i+len("/dtype="):])
		for _, n := range threads {
			x, ok := rows[name][n]
			if !ok {
				b.WriteString(" | | |")
				continue
			}
			rate := x.FLOPS()
			if x.Roof.Memory() {
				rate = x.Bandwidth()
			}
			fmt.Fprintf(&b, " %s | %s | %.0f %% %s |", duration(x.Best), speed(rate, x.Roof), 100*x.Share, x.Roof)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ceiling is the best probe of a roof on n threads.
func (r *Report) ceiling(n int, roof Roof) float64 {
	var best float64
	for _, x := range r.Results {
		if x.Threads == n {
			best = max(best, x.At[roof])
		}
	}
	return best
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// speed is FLOP/s or bytes/s, as the roof counts, in giga.
func speed(rate float64, roof Roof) string {
	unit := "GFLOP/s"
	if roof.Memory() {
		unit = "GB/s"
	}
	if rate < 100e9 {
		return fmt.Sprintf("%.1f %s", rate/1e9, unit)
	}
	return fmt.Sprintf("%.0f %s", rate/1e9, unit)
}

func duration(seconds float64) string {
	switch {
	case seconds < 1e-3:
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.2f s", seconds)
}
