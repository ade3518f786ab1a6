package reward

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A ProcessConfig says how a program that verifies is run.
type ProcessConfig struct {
	Path string   // of the program
	Args []string // behind its name
	Dir  string   // where it runs
	Env  []string // nil: the caller's

	Workers  int           // copies that run at once; 1
	Timeout  time.Duration // of one response; 30 s
	Memory   int64         // bytes of address space of each process, where the system can limit it; 0: no limit
	MaxReply int           // bytes of a line; 1 MiB

	// A program that fails this often in a row is left alone for a while.
	BreakAfter int           // 5
	BreakFor   time.Duration // 30 s
}

// A Process is a custom verifier that is a program: it reads one JSON object a line and answers each by one before it reads the next,
//
//	{"id": "7", "verifier_type": "...", "question": "...", "gt": "...", "response": "...", ...}
//	{"id": "7", "reward": 0.5, "extracted": "...", "why": "..."}
//
// as long as its standard input is open. It is started at the first response and kept. Where it ends, answers out of turn, or takes too
// long, it is killed with all that it has started, the sample is masked, and the next response starts it anew.
type Process struct {
	config ProcessConfig
	gate   *gate
	ids    counter
	idle   chan *worker
	closed chan struct{}
	once   sync.Once
}

// NewProcess prepares the use of a program; it is not started yet.
func NewProcess(c ProcessConfig) (*Process, error) {
	if c.Path == "" {
		return nil, errors.New("reward: the program has no path")
	}
	if c.Workers < 0 || c.Workers > 1024 || c.Timeout < 0 || c.Memory < 0 || c.MaxReply < 0 {
		return nil, fmt.Errorf("reward: the limits of the program %s are negative or too large", quote(c.Path))
	}
	path, err := exec.LookPath(c.Path)
	if err != nil {
		return nil, fmt.Errorf("reward: %w", err)
	}
	c.Path = path
	if c.Memory > 0 && !canLimitMemory {
		return nil, errors.New("reward: the memory of a program cannot be limited on this system")
	}
	c.Workers = cmp.Or(c.Workers, 1)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.MaxReply = cmp.Or(c.MaxReply, 1<<20)
	g, err := newGate(Policy{Concurrency: c.Workers, Attempts: 1, Timeout: c.Timeout, Deadline: c.Timeout, BreakAfter: cmp.Or(c.BreakAfter, 5), BreakFor: c.BreakFor})
	if err != nil {
		return nil, err
	}
	p := &Process{config: c, gate: g, idle: make(chan *worker, c.Workers), closed: make(chan struct{})}
	for range c.Workers {
		p.idle <- nil
	}
	return p, nil
}

// Stats returns the counts so far.
func (p *Process) Stats() CallStats { return p.gate.Stats() }

// Verify implements [Verifier].
func (p *Process) Verify(ctx context.Context, r *Record, response string) Result {
	p.gate.note(func(s *CallStats) { s.Scores++ })
	id := p.ids.next()
	line := append(encodeCall(id, r, response), '\n')
	var x Result
	err := p.gate.do(ctx, func(ctx context.Context) (int64, error) {
		var w *worker
		select {
		case w = <-p.idle: // there is one for each call that the gate lets through
		case <-p.closed:
			return 0, failf(Refused, false, "the program is closed")
		}
		defer func() { p.idle <- w }()
		select {
		case <-p.closed:
			return 0, failf(Refused, false, "the program is closed")
		default:
		}
		if w == nil {
			var err error
			if w, err = p.start(); err != nil {
				return 0, failf(Crashed, false, "the program does not start: %w", err)
			}
		}
		reply, err := w.call(ctx, line)
		if err == nil {
			if x, err = parseCall(reply, id); err == nil {
				return 0, nil
			}
			err = failf(BadReply, false, "%w", err)
		}
		said := w.kill()
		w = nil
		if e, ok := errors.AsType[*callError](err); ok && said != "" {
			e.err = fmt.Errorf("%w; its standard error ends %s", e.err, strconv.Quote(said))
		}
		return 0, err
	})
	if err != nil {
		return Mask("the program failed: %v", err)
	}
	return x
}

// Close ends the program. Calls under way are finished.
func (p *Process) Close() error {
	p.once.Do(func() {
		close(p.closed)
		for range p.config.Workers {
			if w := <-p.idle; w != nil {
				w.kill()
			}
		}
		for range p.config.Workers { // for calls that come later
			p.idle <- nil
		}
	})
	return nil
}

// A worker is a running program.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	replies chan reply // closed when it says no more
	errs    *os.File
	stderr  *tail
	quiet   chan struct{} // closed when its standard error is
	limit   time.Duration
}

type reply struct {
	line []byte
	err  error
}

func (p *Process) start() (*worker, error) {
	c := p.config
	cmd := command(c)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	w := &worker{cmd: cmd, replies: make(chan reply, 1), stderr: &tail{}, quiet: make(chan struct{}), limit: c.Timeout}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of one's own, and not the command's, so that children which outlive the program keep nobody waiting.
	out, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errs, writeErrs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), write.Close())
	}
	w.in, w.out, w.errs = in, out, errs
	cmd.Stdout, cmd.Stderr = write, writeErrs
	err = cmd.Start()
	write.Close()
	writeErrs.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close(), errs.Close())
	}
	go func() {
		defer close(w.quiet)
		io.Copy(w.stderr, errs)
	}()
	go w.read(c.MaxReply)
	return w, nil
}

// read passes lines on until the program closes its output, or says too much.
func (w *worker) read(most int) {
	defer close(w.replies)
	r := bufio.NewReaderSize(w.out, 64<<10)
	for {
		var line []byte
		for {
			part, err := r.ReadSlice('\n')
			if len(line)+len(part) > most {
				w.replies <- reply{err: failf(BadReply, false, "a line of more than %d bytes", most)}
				return
			}
			line = append(line, part...)
			if err == bufio.ErrBufferFull {
				continue
			}
			if err != nil {
				return
			}
			break
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			w.replies <- reply{line: line}
		}
	}
}

// call sends a line and waits for the reply.
func (w *worker) call(ctx context.Context, line []byte) ([]byte, error) {
	select {
	case r, ok := <-w.replies: // before it was asked
		if ok && r.err == nil {
			return nil, failf(BadReply, false, "it spoke before it was asked")
		} else if ok {
			return nil, r.err
		}
		return nil, failf(Crashed, false, "it has ended")
	default:
	}
	// Writing waits for a program that does not read, so it goes on apart; killing the program ends it.
	sent := make(chan error, 1)
	go func() {
		_, err := w.in.Write(line)
		sent <- err
	}()
	for {
		select {
		case r, ok := <-w.replies:
			switch {
			case !ok:
				return nil, failf(Crashed, false, "it ended without a reply")
			case r.err != nil:
				return nil, r.err
			}
			return r.line, nil
		case err := <-sent:
			if err != nil {
				return nil, failf(Crashed, false, "it does not read: %w", err)
			}
			sent = nil
		case <-ctx.Done():
			return nil, failf(TimedOut, false, "no reply within %v", w.limit)
		}
	}
}

// kill ends the program and all that it has started, and returns the last of what it has said on standard error.
func (w *worker) kill() string {
	killGroup(w.cmd)
	w.in.Close()
	go func() { // what it still says is of no interest
		for range w.replies {
		}
	}()
	w.cmd.Wait()
	select {
	case <-w.quiet:
	case <-time.After(lastWords): // a child that has left the group holds the pipe
	}
	w.out.Close()
	w.errs.Close()
	return w.stderr.last()
}

// lastWords is how long the standard error of a program that has ended is read on.
const lastWords = 100 * time.Millisecond

// A tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(p) >= maxTail {
		t.b = append(t.b[:0], p[len(p)-maxTail:]...)
		return len(p), nil
	}
	if over := len(t.b) + len(p) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	t.b = append(t.b, p...)
	return len(p), nil
}

// last returns the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(strings.ToValidUTF8(string(t.b), "\uFFFD"))
	return short(s[strings.LastIndexByte(s, '\n')+1:])
}

// A counter numbers calls.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() string { return strconv.FormatUint(c.n.Add(1), 10) }
