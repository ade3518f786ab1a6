//go:build unix

package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// signalled is a process that a test sends signals to: a trainer that finishes
// its step and saves, or hangs in it.
const signalled = "THINKER_TEST_SIGNALLED"

func TestMain(m *testing.M) {
	switch what := os.Getenv(signalled); what {
	case "":
		os.Exit(m.Run())
	default:
		finish, now, _ := Signals(context.Background(), os.Exit)
		fmt.Println("ready")
		<-finish.Done()
		if now.Err() != nil {
			os.Exit(1)
		}
		fmt.Println("finishing")
		if what == "hangs" {
			select {}
		}
		os.Exit(ExitResume)
	}
}

func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		what string
		send []os.Signal
		want int
	}{
		{"finishes", []os.Signal{syscall.SIGTERM}, 75},
		{"finishes", []os.Signal{os.Interrupt}, 75},
		{"hangs", []os.Signal{os.Interrupt, syscall.SIGTERM}, 143},
		{"hangs", []os.Signal{syscall.SIGTERM, os.Interrupt}, 130},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), signalled+"="+tt.what)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, s := range tt.send { // each after the line that shows that the one before has arrived
			if !lines.Scan() {
				t.Fatal("the process wrote nothing")
			}
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		for lines.Scan() {
		}
		err = cmd.Wait()
		var status *exec.ExitError
		if !errors.As(err, &status) || status.ExitCode() != tt.want {
			t.Errorf("%s, %v: %v, want status %d", tt.what, tt.send, err, tt.want)
		}
	}
}

func TestSignalContexts(t *testing.T) {
	// A signal that means nothing to anybody else in this process.
	const s = syscall.SIGUSR1
	ended := func(ctx context.Context) bool {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(10 * time.Second):
			return false
		}
	}
	finish, now, stop := signals(t.Context(), nil, s)
	syscall.Kill(os.Getpid(), s)
	var cause *SignalError
	if !ended(finish) || now.Err() != nil || !errors.As(context.Cause(finish), &cause) || cause.Signal != s {
		t.Errorf("after one signal: %v, %v", context.Cause(finish), now.Err())
	}
	syscall.Kill(os.Getpid(), s)
	if !ended(now) || !errors.As(context.Cause(now), &cause) {
		t.Errorf("after two signals: %v", context.Cause(now))
	}
	stop()
	stop()

	finish, now, stop = signals(t.Context(), func(int) { t.Error("exit was called") }, s)
	stop()
	if finish.Err() == nil || now.Err() == nil || errors.As(context.Cause(finish), &cause) {
		t.Errorf("after stop: %v, %v", context.Cause(finish), context.Cause(now))
	}

	parent, cancel := context.WithCancel(t.Context())
	finish, now, stop = signals(parent, func(int) { t.Error("exit was called") }, s)
	defer stop()
	cancel()
	if !ended(finish) || !ended(now) {
		t.Error("the contexts outlive their parent")
	}
}
