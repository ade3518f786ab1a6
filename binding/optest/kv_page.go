package optest

import "github.com/thinker-vl/thinker/binding"

// A kvPage is where the elements of keys and values lie in a page of binding.Chunk positions: for each KV head K, then V.
type kvPage struct {
	kind         kind
	kvHeads, dim int
}

func (p kvPage) bytes() int { return p.kvHeads * binding.KVTileBytes(uint32(p.kind), p.dim) }

// key is the place of element c of the key at an offset of the page, in elements from the page's start; value that of a value's.
func (p kvPage) key(offset, head, c int) int {
	tile := head * binding.KVTileBytes(uint32(p.kind), p.dim) / p.kind.bytes()
	if p.kind == bf16 {
		return tile + (c/2*binding.Chunk+offset)*2 + c%2
	}
	return tile + c*binding.Chunk + offset
}

func (p kvPage) value(offset, head, c int) int {
	tile := head * binding.KVTileBytes(uint32(p.kind), p.dim) / p.kind.bytes()
	wide := (p.dim + 15) / 16 * 16
	if p.kind == bf16 {
		return tile + (p.dim+1)/2*binding.Chunk*2 + (offset/2*wide+c)*2 + offset%2
	}
	return tile + p.dim*binding.Chunk + offset*wide + c
}

// write puts a token's keys and values [kvHeads, dim] at slot of pages.
func (p kvPage) write(pages []byte, stride, slot int, k, v []float32) {
	page := pages[slot/binding.Chunk*stride:]
	for h := range p.kvHeads {
		for c := range p.dim {
			p.kind.put(page, p.key(slot%binding.Chunk, h, c), k[h*p.dim+c])
			p.kind.put(page, p.value(slot%binding.Chunk, h, c), v[h*p.dim+c])
		}
	}
}

// clear makes a page of zeros.
func (p kvPage) clear(pages []byte, stride, page int) {
	clear(pages[page*stride:][:p.bytes()])
}
