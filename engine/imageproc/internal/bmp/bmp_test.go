package bmp

import (
	"bytes"
	"testing"
)

func TestRunLengths(t *testing.T) {
	for _, c := range []struct {
		name        string
		compression uint32
		w, h        int
		data        string
		want        []byte // nil for an error
	}{
		{"runs", rle8, 3, 2, "\x03\x05\x00\x00\x01\x06\x02\x07\x00\x01", []byte{5, 5, 5, 6, 7, 7}},
		{"a row cut short", rle8, 3, 2, "\x01\x05\x00\x00\x03\x06\x00\x01", []byte{5, 0, 0, 6, 6, 6}},
		{"a run past the row", rle8, 3, 2, "\x09\x05\x00\x00\x03\x06\x00\x01", []byte{5, 5, 5, 6, 6, 6}},
		{"pixels as they are, padded", rle8, 3, 2, "\x00\x03\x01\x02\x03\x00\x00\x00\x00\x03\x04\x05\x06\x00\x00\x01", []byte{1, 2, 3, 4, 5, 6}},
		{"skip", rle8, 3, 2, "\x01\x05\x00\x02\x01\x01\x01\x06\x00\x01", []byte{5, 0, 0, 0, 0, 6}},
		{"nibbles", rle4, 5, 1, "\x03\x12\x00\x03\x34\x50", []byte{1, 2, 1, 3, 4}},
		{"missing rows", rle8, 3, 2, "\x03\x05\x00\x01", nil},
		{"missing pixels", rle8, 3, 1, "\x00\x03\x01", nil},
		{"nothing", rle8, 3, 1, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &header{width: c.w, height: c.h, compression: c.compression}
			got, err := h.expand([]byte(c.data))
			if c.want == nil {
				if err == nil {
					t.Errorf("%v, want an error", got)
				}
			} else if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
}
