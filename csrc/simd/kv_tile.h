// kv_tile.h - keys and values of one KV head into the tiles of a chunk.
//
// K tile [ksteps(dim)][64] lanes: a key is a column, so runs of keys are transposed VL by VL lanes in registers. V tile
// [ksteps(64)][dimp] lanes: a value is a row (f32) or the even or odd halves of a row (bf16), so two neighbours are zipped. Lone keys
// and halves are written one by one, with 16-bit stores where a lane is shared: two threads may each write one half. Keys that fill
// their lines, and their values, bypass the caches.
// Floor: the bytes read and written; nothing is computed.
#ifndef TK_SIMD_KV_TILE_H
#define TK_SIMD_KV_TILE_H

#include "fetch.h"
#include "lanes.h"
#include "past.h"
#include "transpose.h"

// pack_key_lanes writes n keys of ksteps lanes each (row stride in bytes) as columns of k, the first at k itself.
TK_INLINE void pack_key_lanes(long ksteps, long n, const char *src, long stride, uint32_t *k)
{
    for (; n >= 2; n -= VL < n ? VL : n, src += VL * stride, k += VL) {
        long cols = n < VL ? n : VL;
        for (long s = 0; s < ksteps; s += VL) {
            long lanes = ksteps - s < VL ? ksteps - s : VL;
            vi r[VL];
            if (cols == VL && lanes == VL) {
                LANES_FOR(i, VL) r[i] = v_lanes(src + i * stride + 4 * s);
                v_transpose(r);
                LANES_FOR(i, VL) v_store_lanes(k + (s + i) * TK_CHUNK, r[i], VL);
                LANES_FOR(i, VL) __builtin_prefetch(k + 16 + (s + i) * TK_CHUNK, 1, 2);  // the next line of the same steps
            } else {
                LANES_FOR(i, VL) r[i] = i < cols ? v_lanes_upto(src + i * stride + 4 * s, lanes) : v_lanes_of(v_zero());
                v_transpose(r);
                LANES_FOR(i, VL) if (i < lanes) v_store_lanes(k + (s + i) * TK_CHUNK, r[i], cols);
            }
        }
        if (n <= VL) return;
    }
    if (n == 1)
        for (long s = 0; s < ksteps; s++) memcpy(k + s * TK_CHUNK, src + 4 * s, 4);
}

static void TK_SIMD(attention_pack_f32)(int64_t dim, int64_t n, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv)
{
    uint32_t *kt = kv;
    float *vt = (float *)(kt + dim * TK_CHUNK);
    long dimp = (dim + 15) / 16 * 16;
    pack_key_lanes(dim, n, k, ldk * 4, kt + offset);
    for (long i = 0; i < n; i++) {
        const float *x = (const float *)v + i * ldv;
        float *y = vt + (offset + i) * dimp;
        long j = 0;
        for (; j + VL <= dim; j += VL) v_store(y + j, v_load(x + j));
        if (j < dim) v_storen(y + j, v_loadn(x + j, dim - j), dim - j);
    }
}

// pack_half writes one value into the even or the odd halves of its row of lanes.
TK_INLINE void pack_half(long dim, const uint16_t *v, uint16_t *half)
{
    for (long j = 0; j < dim; j++) half[2 * j] = v[j];
}

static void TK_SIMD(attention_pack_bf16)(int64_t dim, int64_t n, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv)
{
    uint32_t *kt = kv, *vt = kt + dim / 2 * TK_CHUNK;
    long dimp = (dim + 15) / 16 * 16;
    pack_key_lanes(dim / 2, n, k, ldk * 2, kt + offset);

    const uint16_t *x = v;
    long i = 0;
    if (offset % 2 && n) {
        pack_half(dim, x, (uint16_t *)(vt + offset / 2 * dimp) + 1);
        i = 1;
    }
    for (; i + 2 <= n; i += 2) {
        const uint16_t *even = x + i * ldv, *odd = even + ldv;
        uint32_t *row = vt + (offset + i) / 2 * dimp;
        long j = 0;
        for (; j + VL <= dim; j += VL) v_store_lanes(row + j, v_zip_bf16(even + j, odd + j), VL);
        for (; j < dim; j++) row[j] = (uint32_t)even[j] | (uint32_t)odd[j] << 16;
    }
    if (i < n) pack_half(dim, x + i * ldv, (uint16_t *)(vt + (offset + i) / 2 * dimp));
}

// kv_line writes TK_LINE_KEYS keys of ksteps lanes each, a multiple of VL, as columns of k: whole lines, past the caches.
enum { KV_SQUARES = TK_LINE_KEYS / VL };

TK_INLINE void kv_line(long ksteps, const char *src, long stride, uint32_t *k, tk_fetches *fetches)
{
    for (long s = 0; s < ksteps; s += VL) {
        vi r[KV_SQUARES][VL];
        fetch_some(fetches, TK_LINE_KEYS * VL);
        LANES_FOR(q, KV_SQUARES) {
            LANES_FOR(i, VL) r[q][i] = v_lanes(src + (q * VL + i) * stride + 4 * s);
            v_transpose(r[q]);
        }
        LANES_FOR(i, VL) LANES_FOR(q, KV_SQUARES) v_store_past(1, k + (s + i) * TK_CHUNK + q * VL, r[q][i]);
    }
}

static void TK_SIMD(attention_write_f32)(int64_t dim, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv, tk_fetches *fetches)
{
    uint32_t *kt = kv, *vt = kt + dim * TK_CHUNK + offset * dim;
    kv_line(dim, k, ldk * 4, kt + offset, fetches);
    for (long i = 0; i < TK_LINE_KEYS; i++) {
        fetch_some(fetches, dim);
        for (long j = 0; j < dim; j += VL) v_store_past(1, vt + i * dim + j, v_lanes((const uint32_t *)v + i * ldv + j));
    }
}

static void TK_SIMD(attention_write_bf16)(int64_t dim, int64_t offset, const void *k, int64_t ldk, const void *v, int64_t ldv, void *kv, tk_fetches *fetches)
{
    uint32_t *kt = kv, *vt = kt + dim / 2 * TK_CHUNK + offset / 2 * dim;
    kv_line(dim / 2, k, ldk * 2, kt + offset, fetches);
    for (long i = 0; i < TK_LINE_KEYS; i += 2) {
        const uint16_t *even = (const uint16_t *)v + i * ldv, *odd = even + ldv;
        fetch_some(fetches, dim);
        for (long j = 0; j < dim; j += VL) v_store_past(1, vt + i / 2 * dim + j, v_zip_bf16(even + j, odd + j));
    }
}

static void TK_SIMD(attention_written)(void) { v_past_fence(); }

#endif
