// tile.h - the tile instructions (AMX-TILE, AMX-BF16). Registers are named in the instruction; assembly of them is here alone.
//
// A tile is 16 rows of 64 bytes. tile_dot(c, a, b) is C [16, 16] += A [16, 32] B [32, 16]: C f32, A bf16 row-major, B bf16 with its rows 2 i and
// 2 i + 1 interleaved, as 16 steps of half a packed panel are. An element of C gets the sum of two chains of 16 multiply-adds, over even and over
// odd steps, each product and sum rounded to nearest and subnormal numbers taken and given as 0 (Intel SDM, TDPBF16PS). So its bits depend on
// A's row and B's column alone.
#ifndef TK_SIMD_TILE_H
#define TK_SIMD_TILE_H

#include "vec.h"

enum { TILE_ROWS = 16, TILE_LINE = 64, TILE_K = 32, TILE_BYTES = TILE_ROWS * TILE_LINE };  // TILE_LINE: bytes of a row; TILE_K: bf16 of one

// The shapes of the eight tiles, as LDTILECFG reads them.
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];  // of a row
    uint8_t rows[16];
} tile_shapes;

// There is no TILEZERO: on the processors at hand a product after it waits for those before. Zeros are loaded, all rows from one line.
#define tile_load(t, p, stride) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((long)(stride)) : "memory")
// tile_pass is tile_load of what L1 had better not keep.
#define tile_pass(t, p, stride) __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm" #t ::"r"(p), "r"((long)(stride)) : "memory")
#define tile_store(t, p, stride) __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"((long)(stride)) : "memory")
#define tile_dot(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")

// tile_begin gives a thread its tiles: 0 to 5 of so many rows, 6 and 7 of 16; tile_end gives them back, so that nobody saves them when it is switched.
TK_INLINE void tile_begin(long rows)
{
    tile_shapes s = {.palette = 1};
    for (int t = 0; t < 8; t++) s.bytes[t] = TILE_LINE, s.rows[t] = (uint8_t)(t < 6 ? rows : TILE_ROWS);
    __asm__ volatile("ldtilecfg %0" ::"m"(s) : "memory");
}
TK_INLINE void tile_end(void) { __asm__ volatile("tilerelease" ::: "memory"); }

#endif
