package optest

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/thinker-vl/thinker/binding"
)

// inverse is the factor on the logits that a row's temperature stands for.
func inverse(r binding.SampleRow) float32 {
	if r.Temperature == 0 {
		return 1
	}
	return 1 / r.Temperature
}

// A ranking is one row's columns in falling order of their scaled logits, lowest first among equals; banned columns are not in it.
type ranking struct {
	order []int32   // the columns
	p     []float64 // by rank, proportional to the probability; the first is 1
	rank  []int32   // by column; past the last rank for a banned one
}

func rank(logits []float32, banned func(j int) bool, inv float32) ranking {
	r := ranking{rank: make([]int32, len(logits))}
	for j := range logits {
		if r.rank[j] = math.MaxInt32; !banned(j) {
			r.order = append(r.order, int32(j))
		}
	}
	slices.SortStableFunc(r.order, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
	for i, j := range r.order {
		r.rank[j] = int32(i)
		r.p = append(r.p, math.Exp((float64(logits[j])-float64(logits[r.order[0]]))*float64(inv)))
	}
	return r
}

// filter returns how many of the first ranks are left: of the topK largest and what ties with the last of them, the smallest set of
// largest whose share reaches topP, at least one, and of those the ones of at least minP times the largest. Of ties at topP's edge
// the lowest columns are in, or with whole all of them.
func (r ranking) filter(topK int, topP, minP float64, whole bool) int {
	n := len(r.order)
	extend := func(n, limit int) int {
		for n < limit && r.p[n] == r.p[n-1] {
			n++
		}
		return n
	}
	if topK > 0 && topK < n {
		n = extend(topK, n)
	}
	if topP < 1 {
		var mass, sum float64
		for _, p := range r.p[:n] {
			mass += p
		}
		for i, p := range r.p[:n] {
			if sum += p; sum >= topP*mass {
				if limit := n; whole {
					n = extend(i+1, limit)
				} else {
					n = i + 1
				}
				break
			}
		}
	}
	if minP > 0 {
		n = max(1, sort.Search(n, func(i int) bool { return r.p[i] < minP }))
	}
	return n
}

// shares calls f with each column of the first n ranks, in rising order, and its share of their probability.
func (r ranking) shares(n int, f func(j int32, share float64)) {
	var mass float64
	for _, p := range r.p[:n] {
		mass += p
	}
	for j, k := range r.rank {
		if int(k) < n {
			f(int32(j), r.p[k]/mass)
		}
	}
}

// draws adds to ids the columns that a variate within slack of u draws from the first n ranks: those where the cumulative share
// passes it.
func (r ranking) draws(ids map[int32]bool, n int, u, slack float64) {
	var sum float64
	r.shares(n, func(j int32, share float64) {
		before := sum
		if sum += share; share > 0 && before <= u+slack && sum > u-slack {
			ids[j] = true
		}
	})
}

// slack is how far float32 sums put the cumulative shares off, doubled.
func (r ranking) slack() float64 {
	var exact, worst float64
	var sum float32
	for _, k := range r.rank {
		if int(k) < len(r.p) {
			exact += r.p[k]
			sum += float32(r.p[k])
			worst = max(worst, math.Abs(exact-float64(sum)))
		}
	}
	return 2*worst/exact + 0x1p-23
}

// acceptable are the ids that a row may draw: one, but where rounding decides between neighbors.
func (r ranking) acceptable(row binding.SampleRow) map[int32]bool {
	if row.Temperature == 0 {
		return map[int32]bool{r.order[0]: true}
	}
	u, slack := uniformOf(row), r.slack()
	lefts := map[int]bool{}
	topP, minP := []float64{float64(row.TopP)}, []float64{float64(row.MinP)}
	if row.TopP < 1 {
		topP = append(topP, topP[0]-slack, topP[0]+slack)
	}
	if row.MinP > 0 {
		minP = append(minP, minP[0]*(1-0x1p-20), minP[0]*(1+0x1p-20))
	}
	for _, tp := range topP {
		for _, mp := range minP {
			for _, whole := range []bool{false, true} {
				lefts[r.filter(int(row.TopK), tp, mp, whole)] = true
			}
		}
	}
	ids := map[int32]bool{}
	for n := range lefts {
		r.draws(ids, n, u, slack)
	}
	return ids
}
