package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	rundir "github.com/thinker-vl/thinker/grpo/run"
	"github.com/thinker-vl/thinker/tools/thinker/internal/output"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-received
		cancel()
		s := <-received // a second signal ends the process at once, also where a shell has made it ignore the first
		os.Exit(128 + int(s.(syscall.Signal)))
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitStopped     = rundir.ExitResume // a training run that was told to end and has saved: it goes on with --resume
	exitInterrupted = 130               // as shells report a process that an interrupt ended
)

// An interrupted command has this long to end by itself and clean up behind it. Most look at the context every few milliseconds. An
// engine looks between two forward passes, of which one of a large model takes seconds, and holds nothing but memory.
const (
	grace       = 10 * time.Second
	engineGrace = time.Second
)

// run runs the command line args. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: &lockedWriter{w: stderr}, terminal: isTerminal(stderr)}
	root := a.command()
	root.SetArgs(args)
	type result struct {
		c   *cobra.Command
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := root.ExecuteContextC(ctx)
		done <- result{c, err}
	}()
	r := result{c: root}
	select {
	case r = <-done:
	case <-ctx.Done():
		if a.finishing.Load() { // a training run, which finishes its step and saves; a second signal ends the process
			r = <-done
			break
		}
		wait := grace
		if a.computing.Load() {
			wait = engineGrace
		}
		select {
		case r = <-done:
		case <-time.After(wait):
			r.err = ctx.Err()
		}
	}
	a.abandon()
	return a.report(ctx, r.c, r.err)
}

// An app is one run of the command: its streams, and what must not be left behind.
type app struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool // stderr is one

	verbose, quiet bool         // flags
	started        bool         // the command line was understood
	computing      atomic.Bool  // an engine is at work
	sparse         bool         // also elsewhere a line of progress now and then
	finishing      atomic.Bool  // the command takes an interrupt for a wish to end, and is waited for
	goOn           atomic.Value // the command, a string, that goes on after an interrupt; none: nothing has been changed

	mu      sync.Mutex
	outputs []*output.File
	ended   bool
}

// A usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, v ...any) error { return &usageError{fmt.Errorf(format, v...)} }

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "thinker",
		Short: "Train and run vision-language models that reason: Qwen2.5-VL, by SFT and GRPO, on the CPU",
		Long: `Thinker trains and runs vision-language models that reason: Qwen2.5-VL from a Hugging Face checkpoint folder, by SFT and GRPO with rewards
that verify answers, on hand-written CPU kernels. To see all of it, on a small model and in a few minutes:

  thinker demo

A training run is a folder: its settings, metrics, completions and checkpoints. Killed anywhere, it goes on and ends in the same bytes.

The other commands read and write files of one JSON object a line; "-" is standard input or output. Pictures are named by paths, absolute
or relative to the input file's folder (of standard input, to the working directory). An input file is checked to its end before anything
is computed. An output file is replaced when the new one is complete; on an error the old one stays.

Errors name the file, the line and the value, on standard error. The exit status is 0 on success, 1 on an error, 2 on a command line that
cannot be understood, 75 when a training run was told to end and has saved, 130 when interrupted.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("thinker {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{suggestFlag(c, err)} })
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say on standard error what is going on, also where that is no terminal")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no summary on standard error")
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"train", "Train and evaluate", []*cobra.Command{a.demoCommand(), a.synthCommand(), a.sftCommand(), a.trainCommand(), a.evalCommand(), a.reportCommand()}},
		{"run", "Run a model", []*cobra.Command{a.generateCommand(), a.scoreCommand(), a.rewardCommand(), a.tokenizeCommand(), a.preprocessCommand()}},
		{"step", "Training step by step", []*cobra.Command{a.lossCommand(), a.stepCommand()}},
		{"look", "Checkpoints and the machine", []*cobra.Command{a.initCommand(), a.inspectCommand(), a.doctorCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	a.begin(root.Commands())
	return root
}

// begin makes commands note that their command line was understood.
func (a *app) begin(commands []*cobra.Command) {
	for _, c := range commands {
		a.begin(c.Commands())
		run := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			a.started = true
			if a.quiet && a.verbose {
				return usagef("--quiet and --verbose exclude each other")
			}
			return run(c, args)
		}
		c.Flags().SortFlags = false
	}
}

// report says on standard error what went wrong in the command c, and returns the exit status.
func (a *app) report(ctx context.Context, c *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if a.terminal && !a.quiet {
		fmt.Fprint(a.stderr, "\r\x1b[K") // what an interrupt has left of a bar
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if again, ok := a.goOn.Load().(string); ok {
			fmt.Fprintf(a.stderr, "thinker: interrupted; go on with: %s\n", again)
		} else {
			fmt.Fprintln(a.stderr, "thinker: interrupted: what --out names is as it was")
		}
		return exitInterrupted
	}
	if stopped, ok := errors.AsType[*stoppedError](err); ok {
		if !a.quiet {
			fmt.Fprintf(a.stderr, "thinker: %v\n", stopped)
		}
		return exitStopped
	}
	// The engine names its options as Go programs know them.
	flags := strings.NewReplacer("raise CacheBytes", "raise --cache", "lower CacheBytes", "lower --cache", "lower MaxTokens", "lower --max-tokens",
		"or MaxPixels", "or --max-pixels", "or use bf16", "or use --dtype bf16", "score with ban none", "score with --ban none",
		"or bfloat16: name one of them", "or bfloat16: choose by --dtype")
	fmt.Fprintf(a.stderr, "thinker: %s\n", flags.Replace(err.Error()))
	if _, usage := errors.AsType[*usageError](err); usage || !a.started {
		fmt.Fprintf(a.stderr, "Run '%s --help' for what there is.\n", c.CommandPath())
		return exitUsage
	}
	return exitError
}

// create starts an output that is given up when the run ends without a Commit.
func (a *app) create(path string) (*output.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return nil, output.ErrClosed
	}
	f, err := output.Create(path, a.stdout)
	if err == nil && f.Replaces() {
		a.outputs = append(a.outputs, f)
	}
	return f, err
}

// abandon gives up the outputs that are not complete, also those of a command that an interrupt has left running.
func (a *app) abandon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for _, f := range a.outputs {
		f.Close()
	}
}

// A lockedWriter lets a progress bar and a message that is printed while it is drawn take turns.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
