package reward

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A DryRun says how far the verifiers of a registry fit a set of records: whether they can read each gold answer, accept it as the
// answer, and reject another record's.
type DryRun struct {
	Types []DryType // by name
	Never []DryCase // records that can never be rewarded
	Loose []DryCase // records that another record's gold answer is right for
}

// A DryType counts the records of one type.
type DryType struct {
	Type     string
	Records  int
	Parsed   int // whose gold can be read
	Self     int // whose gold was given as the answer
	Accepted int // of them, accepted: with a score of 0.999 or more
	Other    int // that another record's gold was given as the answer to
	Rejected int // of them, rejected: with a score under a half
}

// A DryCase is a record that a person should look at.
type DryCase struct {
	Record int // its index
	Why    string
}

const (
	dryAccept = 0.999
	dryReject = 0.5
	dryTries  = 64 // records that are looked through for another gold
)

// Try verifies the gold answers of records. wrap makes a response of an answer. Scores of open_ended are not tried: a gold answer is no
// better than itself, so that the paper's reward of it is 0.
func (g *Registry) Try(ctx context.Context, records []*Record, wrap func(answer string) string) (*DryRun, error) {
	byType := map[string][]int{}
	parsed := make([]bool, len(records))
	run := &DryRun{}
	for i, r := range records {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := g.Verifier(r.Type)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		byType[r.Type] = append(byType[r.Type], i)
		parsed[i] = true
		if c, ok := v.(GoldChecker); ok {
			if err := checkGold(c, r.clone()); err != nil {
				parsed[i] = false
				run.Never = append(run.Never, DryCase{i, err.Error()})
			}
		}
	}
	for name, of := range byType {
		t := DryType{Type: name, Records: len(of)}
		v, _ := g.Verifier(name)
		_, open := v.(*openVerifier)
		for at, i := range of {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if !parsed[i] {
				continue
			}
			t.Parsed++
			if open {
				continue
			}
			r := records[i].clone()
			r.ImageSize, r.ResizedSize = [2]int{}, [2]int{} // a gold box is not in the coordinates of answers
			t.Self++
			if x, _ := verify(ctx, v, r.clone(), wrap(r.Gold)); !x.Masked && x.Score >= dryAccept {
				t.Accepted++
			} else {
				run.Never = append(run.Never, DryCase{i, "the gold itself is not accepted: " + x.Reason})
			}
			for k := 1; k < min(len(of), dryTries); k++ {
				j := of[(at+k)%len(of)]
				if !parsed[j] || sameGold(records[i], records[j]) {
					continue
				}
				t.Other++
				if x, _ := verify(ctx, v, r.clone(), wrap(records[j].Gold)); !x.Masked && x.Score < dryReject {
					t.Rejected++
				} else {
					run.Loose = append(run.Loose, DryCase{i, fmt.Sprintf("the gold %s of record %d scores %.4g: %s", quote(records[j].Gold), j, x.Score, x.Reason)})
				}
				break
			}
		}
		run.Types = append(run.Types, t)
	}
	slices.SortFunc(run.Types, func(a, b DryType) int { return strings.Compare(a.Type, b.Type) })
	for _, cases := range [][]DryCase{run.Never, run.Loose} {
		slices.SortFunc(cases, func(a, b DryCase) int { return a.Record - b.Record })
	}
	return run, nil
}

// checkGold calls a checker that is not trusted.
func checkGold(c GoldChecker, r *Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the verifier panicked: %s", short(fmt.Sprint(p)))
		}
	}()
	return c.CheckGold(r)
}

// sameGold reports whether two records of one type have the same gold answer, as far as can be told.
func sameGold(a, b *Record) bool {
	switch a.Type {
	case MCQ:
		i, err1 := newChoice(a, nil).gold(a.Gold)
		j, err2 := newChoice(b, nil).gold(b.Gold)
		return err1 == nil && err2 == nil && i == j
	case Digit:
		x, err1 := goldInteger(a.Gold)
		y, err2 := goldInteger(b.Gold)
		return err1 == nil && err2 == nil && x == y
	}
	return tight(a.Gold) == tight(b.Gold)
}
