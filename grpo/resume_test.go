package grpo_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

// The child of TestKilled trains in the folder that this variable names.
const killedEnv = "THINKER_TEST_KILLED_RUN"

func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("the child of TestKilled")
	}
	l := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{})
	if err := l.full(dir, killedRollouts).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
}

const killedRollouts = 10 // of 2 updates each

// TestKilled: a run of 20 updates with all features that is killed by SIGKILL at 30 random points, and each time run again, ends in the bytes of one that
// was not: weights, optimizer, metrics, completions, warnings, evaluations.
func TestKilled(t *testing.T) {
	t.Parallel()
	testdata(t, "golden", "tiny")
	kills := 30
	if testing.Short() {
		kills = 3
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := func(dir string) *exec.Cmd {
		c := exec.Command(exe, "-test.run", "^TestKilledChild$", "-test.count", "1")
		c.Env = append(os.Environ(), killedEnv+"="+dir)
		return c
	}
	whole := t.TempDir()
	clock := time.Now()
	if out, err := child(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(clock)
	want := files(t, whole)

	for strand := range 2 { // of runs, one after the other
		t.Run(fmt.Sprint(strand), func(t *testing.T) {
			t.Parallel()
			killed, finished, next := 0, 0, uint64(1+strand)
			for killed < (kills+strand)/2 {
				dir := filepath.Join(t.TempDir(), "run")
				for {
					var err error
					c := child(dir)
					if err := c.Start(); err != nil {
						t.Fatal(err)
					}
					done := make(chan error, 1)
					go func() { done <- c.Wait() }()
					// A point anywhere in a run, with a bias to early ones: the process starts anew each time.
					next = next*6364136223846793005 + 1442695040888963407
					after := time.Duration(float64(took) * 0.7 * float64(next>>40) / (1 << 24))
					if killed >= (kills+strand)/2 {
						after = time.Hour
					}
					select {
					case err = <-done:
					case <-time.After(after):
						c.Process.Kill()
						if err = <-done; err != nil {
							killed++
							continue
						}
					}
					if err != nil {
						t.Fatalf("the run failed: %v", err)
					}
					break
				}
				finished++
				for name, b := range files(t, dir) {
					if b != want[name] {
						t.Errorf("after %d kills: %s is of other bytes", killed, name)
					}
				}
			}
			t.Logf("%d kills, %d runs finished, each to the same bytes; one run takes %v", killed, finished, took)
		})
	}
}

// TestStopped: a run that is told to stop saves, and goes on to the same bytes.
func TestStopped(t *testing.T) {
	t.Parallel()
	whole, parts := t.TempDir(), t.TempDir()
	if err := newLab(t, "tiny", engine.BF16, 1, engine.TrainOptions{}).full(whole, killedRollouts).Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	stops := inPieces(t, func(stop func()) trainer {
		r := newLab(t, "tiny", engine.BF16, 2, engine.TrainOptions{Recompute: true, MicroBatchRows: 100}).full(parts, killedRollouts)
		r.Progress = func(p grpo.Progress) {
			if p.Rollout%3 == 0 {
				stop()
			}
		}
		return r
	})
	if stops != 3 {
		t.Errorf("stopped %d times, want 3", stops)
	}
	want := files(t, whole)
	for name, b := range files(t, parts) {
		if b != want[name] {
			t.Errorf("%s is of other bytes", name)
		}
	}
}
