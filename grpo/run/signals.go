package run

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// ExitResume is the exit status of a run that was told to end and has saved a
// checkpoint: start it again to go on (EX_TEMPFAIL).
const ExitResume = 75

// A SignalError is the cause of the contexts of [Signals].
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return fmt.Sprintf("told to end by the signal %q", e.Signal) }

// Signals returns two contexts for SIGINT and SIGTERM. The first signal ends
// finish: the trainer finishes its step, saves, and exits with [ExitResume]. The
// second ends now, which is what step and save run under, and calls exit, if it
// is not nil, with the status that shells report for the signal, 128 and its
// number: exit is os.Exit in a program that does not want to wait for a kernel
// to return. A checkpoint that is being written is not lost by that, it is not
// there yet, and the one before is.
//
// [context.Cause] is a [SignalError] for both. Call stop when the run is over;
// it ends both contexts, and gives the signals back their usual meaning.
func Signals(parent context.Context, exit func(status int)) (finish, now context.Context, stop func()) {
	return signals(parent, exit, os.Interrupt, syscall.SIGTERM)
}

func signals(parent context.Context, exit func(int), which ...os.Signal) (finish, now context.Context, stop func()) {
	now, endNow := context.WithCancelCause(parent)
	finish, endFinish := context.WithCancelCause(now)
	received := make(chan os.Signal, 2)
	signal.Notify(received, which...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, end := range []context.CancelCauseFunc{endFinish, endNow} {
			select {
			case s := <-received:
				end(&SignalError{s})
				if number, ok := s.(syscall.Signal); ok && i == 1 && exit != nil {
					exit(128 + int(number))
				}
			case <-now.Done():
				return
			}
		}
	}()
	return finish, now, func() {
		signal.Stop(received)
		endNow(context.Canceled)
		<-done
	}
}
