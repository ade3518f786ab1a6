package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// A Completion is one sample of a step.
type Completion struct {
	Prompt int    // number of the prompt in the step
	ID     string // of the example, "" for none
	Type   string // of the example's verifier, "" for none
	Sample int    // index in the prompt's group
	Text   string
	// Extracted is the answer in Text, nil if there is none; it is written if Judged is set.
	Extracted *string
	Judged    bool
	Why       string // the verifier's reason, "" for none
	// Question, Gold and Images (paths) are the example's, "" and nil for none; a trainer gives them with the first sample of a group.
	Question, Gold string
	Images         []string
	// Rewards are by name, NaN for one that failed.
	Rewards      map[string]float64
	Advantage    float64 // NaN if the sample is masked
	Length       int     // in tokens
	FinishReason string
}

// Options say what is written. The zero value is all.
type Options struct {
	NoCompletions bool
	NoTensorBoard bool
	// Now is the clock, time.Now if it is nil.
	Now func() time.Time
}

// A Log writes the files of one run. Its methods may be called by several
// goroutines.
type Log struct {
	mu          sync.Mutex
	now         func() time.Time
	metrics     *appender
	timing      *appender
	completions *appender // or nil
	warnings    *appender
	events      *events // or nil
	buf         []byte
}

// Open opens the logs in the folder dir, which it makes if it is missing. after
// is the step of the checkpoint that the run resumes from, -1 for none: lines of
// later steps are removed.
//
// A line that is damaged is an error, with its number, if lines that stay come
// after it; at the end it is what a crash leaves, and is removed.
func Open(dir string, after int64, opts Options) (_ *Log, err error) {
	l := &Log{now: opts.Now}
	if l.now == nil {
		l.now = time.Now
	}
	defer func() {
		if err != nil {
			l.Close()
			err = fmt.Errorf("metrics: %w", err)
		}
	}()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if l.metrics, err = openAppender(filepath.Join(dir, "metrics.jsonl"), after); err != nil {
		return nil, err
	}
	if l.timing, err = openAppender(filepath.Join(dir, "timing.jsonl"), after); err != nil {
		return nil, err
	}
	if l.warnings, err = openAppender(filepath.Join(dir, "warnings.jsonl"), after); err != nil {
		return nil, err
	}
	if !opts.NoCompletions {
		if l.completions, err = openAppender(filepath.Join(dir, "completions.jsonl"), after); err != nil {
			return nil, err
		}
	}
	if !opts.NoTensorBoard {
		sub := filepath.Join(dir, "tensorboard")
		if err := os.MkdirAll(sub, 0o777); err != nil {
			return nil, err
		}
		if l.events, err = createEvents(sub, l.now(), after); err != nil {
			return nil, err
		}
		if err := syncDir(sub); err != nil {
			return nil, err
		}
	}
	return l, syncDir(dir)
}

// LastStep returns the last step that has metrics, -1 if none has. After Open it
// is the step of the checkpoint, unless the files were not the run's.
func (l *Log) LastStep() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.metrics.last
}

// Step writes the metrics of a step, and what the clock decides of them apart.
// Steps ascend. After an error none of the lines is there, unless the disk
// refused to take one back.
func (l *Log) Step(step int64, metrics, timing map[string]float64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.step(step, metrics, timing); err != nil {
		return fmt.Errorf("metrics: step %d: %w", step, err)
	}
	return nil
}

func (l *Log) step(step int64, metrics, timing map[string]float64) error {
	if step <= l.metrics.last {
		return fmt.Errorf("step %d was the last: steps must ascend", l.metrics.last)
	}
	for _, m := range []map[string]float64{metrics, timing} {
		for name := range m {
			_, twice := metrics[name]
			_, too := timing[name]
			if name == "" || name == "step" || name == "time" || !utf8.ValidString(name) || twice && too {
				return fmt.Errorf("metric %q: the name is empty, reserved, given twice or not UTF-8", name)
			}
		}
	}
	now := l.now()
	seconds := float64(now.UnixMicro()) / 1e6
	line := fmt.Appendf(l.buf[:0], `{"step":%d`, step)
	line = append(appendFloats(line, metrics), "}\n"...)
	if err := l.metrics.append(line, step); err != nil {
		return err
	}
	line = appendFloat(fmt.Appendf(line[:0], `{"step":%d,"time":`, step), seconds)
	line = append(appendFloats(line, timing), "}\n"...)
	l.buf = line
	if err := l.timing.append(line, step); err != nil {
		return errors.Join(err, l.metrics.undo())
	}
	if l.events == nil {
		return nil
	}
	if err := l.events.step(seconds, step, metrics, timing); err != nil {
		return errors.Join(err, l.metrics.undo(), l.timing.undo())
	}
	return nil
}

// Completions writes the samples of a step, all or, after an error, none.
func (l *Log) Completions(step int64, samples []Completion) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.completions == nil || len(samples) == 0 {
		return nil
	}
	if step <= l.completions.last {
		return fmt.Errorf("metrics: completions of step %d: step %d was the last: steps must ascend", step, l.completions.last)
	}
	b := l.buf[:0]
	for i := range samples {
		c := &samples[i]
		b = fmt.Appendf(b, `{"step":%d,"prompt":%d,"sample":%d`, step, c.Prompt, c.Sample)
		if c.ID != "" {
			b = appendString(append(b, `,"id":`...), c.ID)
		}
		for _, f := range []struct{ key, value string }{{"type", c.Type}, {"question", c.Question}, {"gt", c.Gold}} {
			if f.value != "" {
				b = appendString(append(b, `,"`+f.key+`":`...), f.value)
			}
		}
		for i, path := range c.Images {
			b = appendString(append(b, []string{`,"images":[`, `,`}[min(i, 1)]...), path)
		}
		if len(c.Images) > 0 {
			b = append(b, ']')
		}
		b = append(appendString(append(b, `,"text":`...), c.Text), `,"rewards":{`...)
		// The first of the rewards has a comma before it, too.
		if n := len(b); len(c.Rewards) > 0 {
			b = appendFloats(b, c.Rewards)
			b = slices.Delete(b, n, n+1)
		}
		b = appendFloat(append(b, `},"advantage":`...), c.Advantage)
		b = fmt.Appendf(b, `,"length":%d,"finish_reason":`, c.Length)
		b = appendString(b, c.FinishReason)
		switch {
		case c.Judged && c.Extracted == nil:
			b = append(b, `,"extracted":null`...)
		case c.Judged:
			b = appendString(append(b, `,"extracted":`...), *c.Extracted)
		}
		if c.Why != "" {
			b = appendString(append(b, `,"why":`...), c.Why)
		}
		b = append(b, "}\n"...)
	}
	l.buf = b
	if err := l.completions.append(b, step); err != nil {
		return fmt.Errorf("metrics: completions of step %d: %w", step, err)
	}
	return nil
}

// Warning writes what the user should know, after an update.
func (l *Log) Warning(update int64, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if update < l.warnings.last {
		return fmt.Errorf("metrics: warning of update %d: update %d was the last: updates must ascend", update, l.warnings.last)
	}
	b := appendString(fmt.Appendf(l.buf[:0], `{"update":%d,"text":`, update), text)
	l.buf = append(b, "}\n"...)
	if err := l.warnings.append(l.buf, update); err != nil {
		return fmt.Errorf("metrics: warning of update %d: %w", update, err)
	}
	return nil
}

// Sync flushes all files to the disk.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.files() {
		errs = append(errs, f.Sync())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Close closes the files. It does not flush them.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.files() {
		errs = append(errs, f.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (l *Log) files() []file {
	var files []file
	for _, a := range []*appender{l.metrics, l.timing, l.completions, l.warnings} {
		if a != nil {
			files = append(files, a.f)
		}
	}
	if l.events != nil {
		files = append(files, l.events.a.f)
	}
	return files
}

// appendFloats appends ,"name":value by name.
func appendFloats(b []byte, values map[string]float64) []byte {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b = append(appendString(append(b, ','), name), ':')
		b = appendFloat(b, values[name])
	}
	return b
}

func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "null"...)
	case math.IsInf(v, 0):
		return append(b, map[bool]string{true: `"Infinity"`, false: `"-Infinity"`}[v > 0]...)
	}
	text, _ := json.Marshal(v) // cannot fail on finite numbers
	return append(b, text...)
}

func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.Encode(s) // cannot fail on strings
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// syncDir flushes the entries of a folder, where that can be done.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
