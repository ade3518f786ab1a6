package metrics

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// TensorBoard's event files are TFRecords, each an Event message in protobuf's
// wire format. Of that this file needs tags and four kinds of values; the
// protobuf module, of some hundred packages, would be the largest dependency
// for thirty lines.
//
//	record   length uint64, masked CRC-32C of it, data, masked CRC-32C of the data; little endian
//	Event    1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log
//	Summary  1 value, repeated: 1 tag string, 2 simple_value float
//	SessionLog  1 status: 1 is START, from whose step on earlier events are void

// An events writes an event file.
type events struct {
	a   *appender
	buf []byte
}

// createEvents starts a new event file. after is the step that the run resumes
// from, -1 for none.
func createEvents(dir string, now time.Time, after int64) (*events, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	// TensorBoard reads the files in the order of their names and does not go
	// back, so that this one comes last whatever the clock says.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	second, n := now.Unix(), 0
	for _, entry := range entries {
		var s int64
		var k int
		if _, err := fmt.Sscanf(entry.Name(), "events.out.tfevents.%d.%d.", &s, &k); err == nil && (s > second || s == second && k >= n) {
			second, n = s, k+1
		}
	}
	name := fmt.Sprintf("events.out.tfevents.%010d.%04d.%s.%d", second, n, host, os.Getpid())
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	e := &events{a: &appender{f: f, last: -1}}
	wall := float64(now.UnixMicro()) / 1e6
	records := appendRecord(nil, appendBytes(appendDouble(nil, 1, wall), 3, "brain.Event:2"))
	if after >= 0 {
		start := appendInt(appendDouble(nil, 1, wall), 2, after+1)
		records = appendRecord(records, appendBytes(start, 7, string(appendInt(nil, 1, 1))))
	}
	if err := e.a.append(records, -1); err != nil {
		f.Close()
		return nil, err
	}
	return e, nil
}

// step writes the metrics of a step as one event.
func (e *events) step(wall float64, step int64, metrics, timing map[string]float64) error {
	all := maps.Clone(metrics)
	if all == nil {
		all = make(map[string]float64)
	}
	maps.Copy(all, timing)
	var summary []byte
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := appendFixed32(appendBytes(nil, 1, name), 2, math.Float32bits(float32(all[name])))
		summary = appendBytes(summary, 1, string(value))
	}
	e.buf = appendRecord(e.buf[:0], appendBytes(appendInt(appendDouble(nil, 1, wall), 2, step), 5, string(summary)))
	return e.a.append(e.buf, step)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the CRC as TFRecord stores it, so that a CRC over data that holds
// CRCs is none of a special kind.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func appendRecord(b, data []byte) []byte {
	n := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b[n:]))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, masked(data))
}

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

func appendInt(b []byte, field int, v int64) []byte {
	b = binary.AppendUvarint(b, uint64(field<<3|wireVarint))
	return binary.AppendUvarint(b, uint64(v))
}

func appendDouble(b []byte, field int, v float64) []byte {
	b = binary.AppendUvarint(b, uint64(field<<3|wireFixed64))
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

func appendFixed32(b []byte, field int, v uint32) []byte {
	b = binary.AppendUvarint(b, uint64(field<<3|wireFixed32))
	return binary.LittleEndian.AppendUint32(b, v)
}

func appendBytes(b []byte, field int, v string) []byte {
	b = binary.AppendUvarint(b, uint64(field<<3|wireBytes))
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
