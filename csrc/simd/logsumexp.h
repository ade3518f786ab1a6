// logsumexp.h - the fold of one chunk of the vocabulary, for one ISA: used by logprob and sample alike, so that they agree bit for bit.
//
// Column j of the chunk belongs to lane j mod 32, in increasing j; the lanes are added by one fixed tree. Two passes over the chunk,
// which is in L1 after the first: the maximum of the logits, then the sums of 2^w, w = (logit - maximum) scale log2 e. So the logits
// need no scaling, and their distances none of the rounding that it would cost. Floor: 4 bytes read a column, or about 20 FLOPs.
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

// Vector v of the logits of columns j .. j + 31; whole says that there are 32.
TK_INLINE vf vocab_logits(const tk_vocab_chunk *c, int64_t j, int v, int whole)
{
    int64_t left = c->width - j - v * VL;
    const float *p = c->logits + j + v * VL;
    return whole || left >= VL ? v_load(p) : left > 0 ? v_loadn(p, left) : v_zero();
}

// The same, scaled.
TK_INLINE vf vocab_load(const tk_vocab_chunk *c, int64_t j, int v, int whole)
{
    return v_mul(vocab_logits(c, j, v, whole), v_set1(c->scale));
}

// vocab_tree adds vectors, or takes the largest of them, by halves. (Every loop over them is one that the compiler unrolls before it
// gives out registers.)
TK_INLINE float vocab_tree(const vf *x, int max)
{
    vf y[8];
    WIDE_FOR_OF(v, 8) y[v] = v < VOCAB_NV ? x[v % VOCAB_NV] : v_zero();
    if (VOCAB_NV > 4) WIDE_FOR_OF(v, 4) y[v] = max ? v_max(y[v], y[v + 4]) : v_add(y[v], y[v + 4]);
    if (VOCAB_NV > 2) WIDE_FOR_OF(v, 2) y[v] = max ? v_max(y[v], y[v + 2]) : v_add(y[v], y[v + 2]);
    y[0] = max ? v_max(y[0], y[1]) : v_add(y[0], y[1]);
    return max ? v_hmax(y[0]) : v_hsum(y[0]);
}

TK_INLINE void vocab_max(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int whole, vf *most)
{
    WIDE_FOR_OF(v, VOCAB_NV) {
        vf x = vocab_logits(c, j, v, whole);
        if (!whole) x = v_keep(bits >> (v * VL), x, v_set1(-INFINITY));
        most[v] = v_max(x, most[v]);  // a NaN leaves it as it is
    }
}

// vocab_add adds columns j .. j + 31 to s; to t it adds w 2^w, or, for the sake of NaN alone, w.
TK_INLINE void vocab_add(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int whole, int entropy, vf m, vf slope, vf *s, vf *t)
{
    // What is further down than f32 goes, banned columns too, counts as 2^-126: nothing beside the maximum's 1.
    vf w[VOCAB_NV], e[VOCAB_NV];
    WIDE_FOR_OF(v, VOCAB_NV) {
        vf x = vocab_logits(c, j, v, whole);
        if (!whole) x = v_keep(bits >> (v * VL), x, v_set1(-INFINITY));
        w[v] = v_max(v_set1(-126), v_mul(v_sub(x, m), slope));
    }
    exp2_wide_terms(VOCAB_NV, w, e);
    WIDE_FOR_OF(v, VOCAB_NV) s[v] = v_add(s[v], e[v]);
    if (entropy) {
        WIDE_FOR_OF(v, VOCAB_NV) t[v] = v_fma(w[v], e[v], t[v]);
    } else {
        WIDE_FOR_OF(v, VOCAB_NV - 1) w[0] = v_add(w[0], w[v + 1]);
        t[0] = v_add(t[0], w[0]);
    }
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

TK_INLINE tk_vocab_state vocab_fold_of(const tk_vocab_chunk *c, int entropy)
{
    vf most[VOCAB_NV], s[VOCAB_NV], t[VOCAB_NV];
    WIDE_FOR_OF(v, VOCAB_NV) most[v] = v_set1(-INFINITY), s[v] = t[v] = v_zero();
    VOCAB_EACH(vocab_max(c, j, ~0u, 1, most), vocab_max(c, j, bits, 0, most));
    const float top = vocab_tree(most, 1), log2e = 1.44269504088896341f;
    tk_vocab_state state = {.m = top * c->scale};  // rounding keeps the order
    if (!(state.m > -INFINITY)) {  // nothing, or nothing but -inf and NaN
        for (int64_t j = 0; j < c->width; j++)
            if (vocab_bits(c, j / 32 * 32) >> (j % 32) & 1 && isnan(c->logits[j])) state.s = NAN;
        return state;
    }
    vf m = v_set1(top), slope = v_min(v_set1(0x1.fffffep127f), v_set1(c->scale * log2e));
    VOCAB_EACH((vocab_fetch(c, j), vocab_add(c, j, ~0u, 1, entropy, m, slope, s, t)),
               (vocab_fetch(c, j), vocab_add(c, j, bits, 0, entropy, m, slope, s, t)));
    state.t = vocab_tree(t, 0);
    state.s = isnan(state.t) || state.m == INFINITY ? NAN : vocab_tree(s, 0);  // 2^w of a NaN may be anything, w is not
    state.t = entropy ? state.t * 0.693147180559945309f : 0;
    return state;
}

static tk_vocab_state TK_SIMD(vocab_fold)(const tk_vocab_chunk *c, int entropy)
{
    return entropy ? vocab_fold_of(c, 1) : vocab_fold_of(c, 0);
}

#endif
