// logsumexp.h - the fold of one chunk of the vocabulary, for one ISA: used by logprob and sample alike, so that they agree bit for bit.
//
// Column j of the chunk belongs to lane j mod 32, in increasing j; the lanes are added by one fixed tree. Two passes over the chunk,
// which is in L1 after the first: the maximum, then the sums. Floor: 4 bytes read a column, or about 26 FLOPs.
#ifndef TK_SIMD_LOGSUMEXP_H
#define TK_SIMD_LOGSUMEXP_H

#include "expneg.h"

enum { VOCAB_NV = 32 / VL };  // vectors of 32 columns

// The bits of 32 columns that count.
TK_INLINE uint32_t vocab_bits(const tk_vocab_chunk *c, int64_t j)
{
    uint32_t bits = c->ban ? ~c->ban[j / 32] : ~0u;
    int64_t left = c->width - j;
    return left >= 32 ? bits : bits & ((1u << left) - 1);
}

// Vector v of the scaled columns j .. j + 31; whole says that there are 32.
TK_INLINE vf vocab_load(const tk_vocab_chunk *c, int64_t j, int v, int whole)
{
    int64_t left = c->width - j - v * VL;
    const float *p = c->logits + j + v * VL;
    vf x = whole || left >= VL ? v_load(p) : left > 0 ? v_loadn(p, left) : v_zero();
    return v_mul(x, v_set1(c->scale));
}

TK_INLINE float vocab_tree(const vf *x, int max)
{
    vf y[VOCAB_NV];
    for (int v = 0; v < VOCAB_NV; v++) y[v] = x[v];
    for (int n = VOCAB_NV / 2; n > 0; n /= 2)
        for (int v = 0; v < n; v++) y[v] = max ? v_max(y[v], y[v + n]) : v_add(y[v], y[v + n]);
    return max ? v_hmax(y[0]) : v_hsum(y[0]);
}

TK_INLINE void vocab_max(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int whole, vf *most)
{
#pragma GCC unroll 8
    for (int v = 0; v < VOCAB_NV; v++) {
        vf z = vocab_load(c, j, v, whole);
        if (!whole) z = v_keep(bits >> (v * VL), z, v_set1(-INFINITY));
        most[v] = v_max(z, most[v]);  // a NaN leaves it as it is
    }
}

TK_INLINE void vocab_add(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int whole, vf m, vf *s, vf *t)
{
    // What is further down than f32 goes, banned columns too, counts as e^-87.3: nothing beside the maximum's 1.
    vf y[VOCAB_NV], e[VOCAB_NV];
    WIDE_FOR_OF(v, VOCAB_NV) {
        vf z = vocab_load(c, j, v, whole);
        if (!whole) z = v_keep(bits >> (v * VL), z, v_set1(-INFINITY));
        y[v] = v_min(v_set1(EXPNEG_MOST), v_sub(m, z));
    }
    expneg_wide_terms(VOCAB_NV, y, e);
    WIDE_FOR_OF(v, VOCAB_NV) s[v] = v_add(s[v], e[v]);
    WIDE_FOR_OF(v, VOCAB_NV) t[v] = v_fnma(y[v], e[v], t[v]);
}

// What vocab_fold does with 32 columns from j on: all of them, or those of the bits.
#define VOCAB_EACH(whole_step, part_step)                            \
    do {                                                             \
        int64_t j = 0;                                               \
        if (!c->ban)                                                 \
            for (; j + 32 <= c->width; j += 32) whole_step;          \
        for (; j < c->width; j += 32) {                              \
            uint32_t bits = vocab_bits(c, j);                        \
            if (bits == ~0u) whole_step;                             \
            else if (bits) part_step;                                \
        }                                                            \
    } while (0)

// The next chunk of a row of logits is fetched while this one is in L1.
TK_INLINE void vocab_fetch(const tk_vocab_chunk *c, int64_t j)
{
    __builtin_prefetch(c->logits + TK_VOCAB_CHUNK + j);
    __builtin_prefetch(c->logits + TK_VOCAB_CHUNK + j + 16);
}

static tk_vocab_state TK_SIMD(vocab_fold)(const tk_vocab_chunk *c)
{
    vf most[VOCAB_NV], s[VOCAB_NV], t[VOCAB_NV];
    for (int v = 0; v < VOCAB_NV; v++) most[v] = v_set1(-INFINITY), s[v] = t[v] = v_zero();
    VOCAB_EACH(vocab_max(c, j, ~0u, 1, most), vocab_max(c, j, bits, 0, most));
    tk_vocab_state state = {.m = vocab_tree(most, 1)};
    if (!(state.m > -INFINITY)) {  // nothing, or nothing but -inf and NaN
        for (int64_t j = 0; j < c->width; j++)
            if (vocab_bits(c, j / 32 * 32) >> (j % 32) & 1 && isnan(c->logits[j])) state.s = NAN;
        return state;
    }
    vf m = v_set1(state.m);
    VOCAB_EACH((vocab_fetch(c, j), vocab_add(c, j, ~0u, 1, m, s, t)), (vocab_fetch(c, j), vocab_add(c, j, bits, 0, m, s, t)));
    state.t = vocab_tree(t, 0);
    state.s = isnan(state.t) ? NAN : vocab_tree(s, 0);  // e of a NaN may be anything, y e is not
    return state;
}

#endif
