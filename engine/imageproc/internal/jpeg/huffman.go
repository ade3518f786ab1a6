package jpeg

import (
	"encoding/binary"
	"errors"
)

// lookBits is the number of bits that one table look-up decodes at most.
const lookBits = 10

// minBits is what has to be available for a code and the bits that follow it.
const minBits = 17 + 16

var errHuffman = errors.New("jpeg: Huffman table with impossible code lengths")

// A huffmanSpec is a table as DHT defines it: how many codes there are of each
// length from 1 to 16, and their values in order.
type huffmanSpec struct {
	counts [17]uint8
	values []uint8
}

// A huffmanTable decodes the codes of a huffmanSpec.
type huffmanTable struct {
	// look maps the next lookBits bits to length<<8 | value of the code that
	// they begin with, or to 0 if that code is longer.
	look [1 << lookBits]uint16
	// fast maps the next lookBits bits to a whole AC coefficient, as
	// value<<8 | run<<4 | bits, or to 0 if it does not fit.
	fast [1 << lookBits]int16
	// limit[l] is one more than the largest code of length l, moved to the top
	// of 16 bits; 0 if there is none.
	limit [17]int32
	// offset[l] is the index in values of the first code of length l, less
	// that code.
	offset [17]int32
	values [256]uint8
	// maxValue is the largest value of any code.
	maxValue uint8
}

// newHuffmanTable builds the decoding tables of a specification.
func newHuffmanTable(spec *huffmanSpec) (*huffmanTable, error) {
	t := new(huffmanTable)
	if len(spec.values) > len(t.values) {
		return nil, errHuffman
	}
	copy(t.values[:], spec.values)
	code, k := int32(0), int32(0)
	for l := 1; l <= 16; l++ {
		n := int32(spec.counts[l])
		if k+n > int32(len(spec.values)) || code+n > 1<<l {
			return nil, errHuffman
		}
		t.offset[l] = k - code
		for range n {
			v := t.values[k]
			t.maxValue = max(t.maxValue, v)
			if l <= lookBits {
				first := code << (lookBits - l)
				for i := range int32(1) << (lookBits - l) {
					t.look[first+i] = uint16(l)<<8 | uint16(v)
				}
			}
			code++
			k++
		}
		if n > 0 {
			t.limit[l] = code << (16 - l)
		}
		code <<= 1
	}
	for i, e := range t.look {
		length, run, size := int(e>>8), int(e>>4&15), int(e&15)
		if size == 0 || length == 0 || length+size > lookBits {
			continue
		}
		bits := i << length & (1<<lookBits - 1) >> (lookBits - size)
		if v := extend(bits, size); -128 <= v && v <= 127 {
			t.fast[i] = int16(v<<8 | run<<4 | (length + size))
		}
	}
	return t, nil
}

// extend turns the bits that follow a code into the value they stand for
// (T.81, F.2.2.1).
func extend(bits, size int) int {
	if bits < 1<<(size-1) {
		return bits - 1<<size + 1
	}
	return bits
}

// bitReader reads the bits of one entropy-coded segment.
type bitReader struct {
	data []byte
	pos  int    // of the next byte that acc does not hold whole
	acc  uint64 // the next bits, from the top
	n    int    // how many bits of acc count; negative if more were taken
	// marker is the second byte of the marker that the segment ended at; 0
	// before it is met.
	marker byte
	// short is set when bits past a marker were asked for and read as 0.
	short bool
}

// fill makes at least 48 bits available, fewer only at the segment's end.
func (b *bitReader) fill() {
	if b.pos+8 <= len(b.data) && b.marker == 0 {
		x := binary.BigEndian.Uint64(b.data[b.pos:])
		if x&0x8080808080808080&(x&0x7f7f7f7f7f7f7f7f+0x0101010101010101) == 0 {
			// No byte is 0xff. The bits of the last byte that do not count yet
			// are set already; they will be set again to the same.
			b.acc |= x >> b.n
			b.pos += (63 - b.n) >> 3
			b.n |= 56
			return
		}
	}
	b.fillBytes()
}

func (b *bitReader) fillBytes() {
	for b.n <= 56 && b.marker == 0 && b.pos < len(b.data) {
		c := b.data[b.pos]
		if c == 0xff {
			p := b.pos + 1
			for p < len(b.data) && b.data[p] == 0xff {
				p++
			}
			if p == len(b.data) {
				b.pos = p
				return
			}
			if b.data[p] != 0 {
				b.pos, b.marker = p+1, b.data[p]
				return
			}
			b.pos = p
		}
		b.pos++
		b.acc |= uint64(c) << (56 - b.n)
		b.n += 8
	}
}

// overrun notes that more bits were taken than the segment has, which read as
// zeros.
func (b *bitReader) overrun() {
	b.short = true
	b.acc, b.n = 0, 0
}

// code decodes one Huffman code. It needs minBits to be available.
func (b *bitReader) code(t *huffmanTable) int {
	if e := t.look[b.acc>>(64-lookBits)]; e != 0 {
		b.acc <<= e >> 8
		b.n -= int(e >> 8)
		return int(e & 0xff)
	}
	top := int32(b.acc >> 48)
	for l := lookBits + 1; l <= 16; l++ {
		if top < t.limit[l] {
			b.acc <<= l
			b.n -= l
			return int(t.values[(top>>(16-l)+t.offset[l])&0xff])
		}
	}
	// No code begins so.
	b.acc <<= 17
	b.n -= 17
	return 0
}

// take returns the next size bits, 0 to 16.
func (b *bitReader) take(size int) int {
	v := int(b.acc >> 1 >> (63 - size))
	b.acc <<= size
	b.n -= size
	return v
}
