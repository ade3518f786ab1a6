// logsumexp.h - the fold of one chunk of the vocabulary, for one ISA: used by logprob and sample alike, so that they agree bit for bit.
//
// Column j of the chunk belongs to lane j mod 32, in increasing j; the lanes are added by one fixed tree. Two passes over the chunk,
// which is in L1 after the first: the maximum of the logits, block by block, then the sums of 2^w, w = (logit - maximum) scale log2 e.
// So the logits need no scaling, and their distances none of the rounding that it would cost. 2^w is 2^n, n being w to the nearest eighth, of
// which a table has the significand, times a polynomial. Floor: 4 bytes read a column, or about 20 FLOPs: 13 vector operations, of which 6
// go to the multipliers and, without AVX-512, 5 to the two adders that compare and shift too.
#ifndef TK_SIMD_LOGSUMEXP_H
#define TK_SIMD_LOGSUMEXP_H

#include <float.h>

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
    if (!whole && left <= 0) return v_zero();
    const float *p = c->logits + j + v * VL;
    return whole || left >= VL ? v_load(p) : v_loadn(p, left);
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

enum { VOCAB_HALF = VOCAB_NV / 2 };  // vectors of half of 32 columns

// The exponentials of half of 32 columns on their way: 2^w with w = n + r, n a multiple of 1/8 and |r| <= 1/16, t = n + 1.5 2^20.
typedef struct vocab_terms {
    vf w[VOCAB_HALF], t[VOCAB_HALF], r[VOCAB_HALF];
} vocab_terms;

// Constants of vocab_step, lane by lane. They come from memory each time: registers are for what changes.
enum { VOCAB_C0, VOCAB_C3 = 3, VOCAB_TO_EIGHTHS, VOCAB_CONSTANTS };
#define VOCAB_LANES(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
static const _Alignas(64) float TK_SIMD(vocab_constants)[VOCAB_CONSTANTS][16] = {
    VOCAB_LANES(1), VOCAB_LANES(POW2_1), VOCAB_LANES(POW2_2), VOCAB_LANES(POW2_3), VOCAB_LANES(TO_EIGHTHS),
};

// What w is taken from: w = slope (logit - m), and what lies more than -least below m, banned columns too, counts as 2^-125: nothing beside
// the maximum's 1.
typedef struct vocab_line {
    vf m, slope, least;
} vocab_line;

// vocab_step adds the terms of q to s, and to t their w 2^w, and then begins those of columns j .. j + 31, half `half`. 2^w is within 1.3e-7
// by a polynomial of degree 3 (3e-8), exactly 1 at 0; NaN gives NaN in s. The steps of the two halves alternate line by line: none waits for the
// line before, and the processor has fewer operations to look through for those that are ready.
TK_INLINE void vocab_step(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int half, int whole, int entropy, const vocab_line *l,
                          vocab_terms *q, vf *s, vf *t)
{
    const float(*k)[16] = TK_SIMD(vocab_constants);
    __asm__("" : "+r"(k));
    vf p[VOCAB_HALF], d[VOCAB_HALF];
    WIDE_FOR_OF(v, VOCAB_HALF) p[v] = v_fma(v_load(k[VOCAB_C3]), q->r[v], v_load(k[2]));
    WIDE_FOR_OF(v, VOCAB_HALF) {
        vf x = vocab_logits(c, j, half * VOCAB_HALF + v, whole);
        if (!whole) x = v_keep(bits >> ((half * VOCAB_HALF + v) * VL), x, v_set1(-INFINITY));
        d[v] = v_sub(x, l->m);
    }
    WIDE_FOR_OF(v, VOCAB_HALF) p[v] = v_fma(p[v], q->r[v], v_load(k[1]));
    WIDE_FOR_OF(v, VOCAB_HALF) d[v] = v_max(l->least, d[v]);
    WIDE_FOR_OF(v, VOCAB_HALF) p[v] = v_fma(p[v], q->r[v], v_load(k[VOCAB_C0]));
    WIDE_FOR_OF(v, VOCAB_HALF) q->t[v] = v_pow2(q->t[v]);
    if (entropy) {
        WIDE_FOR_OF(v, VOCAB_HALF) p[v] = v_mul(p[v], q->t[v]);
        WIDE_FOR_OF(v, VOCAB_HALF) s[v] = v_add(s[v], p[v]);
        WIDE_FOR_OF(v, VOCAB_HALF) t[v] = v_fma(q->w[v], p[v], t[v]);
        WIDE_FOR_OF(v, VOCAB_HALF) q->w[v] = v_mul(d[v], l->slope);
    } else {
        WIDE_FOR_OF(v, VOCAB_HALF) s[v] = v_fma(p[v], q->t[v], s[v]);
    }
    WIDE_FOR_OF(v, VOCAB_HALF) q->t[v] = v_fma(d[v], l->slope, v_load(k[VOCAB_TO_EIGHTHS]));
    WIDE_FOR_OF(v, VOCAB_HALF) q->r[v] = v_fma(d[v], l->slope, v_sub(v_load(k[VOCAB_TO_EIGHTHS]), q->t[v]));
}

// vocab_add goes on with columns j .. j + 31.
TK_INLINE void vocab_add(const tk_vocab_chunk *c, int64_t j, uint32_t bits, int whole, int entropy, const vocab_line *l, vocab_terms *q, vf *s, vf *t)
{
    vocab_step(c, j, bits, 0, whole, entropy, l, q, s + VOCAB_HALF, t + VOCAB_HALF);
    vocab_step(c, j, bits, 1, whole, entropy, l, q, s, t);
}

// vocab_run is the end of the columns from j on that are there in whole 32s.
TK_INLINE int64_t vocab_run(const tk_vocab_chunk *c, int64_t j)
{
    if (!c->ban) return c->width / 32 * 32;
    while (j + 32 <= c->width && !c->ban[j / 32]) j += 32;
    return j;
}

// vocab_top is the maximum of the logits of the block that begins at column j.
TK_INLINE float vocab_top(const tk_vocab_chunk *c, int64_t j)
{
    const int64_t end = c->width - j < TK_VOCAB_BLOCK ? c->width : j + TK_VOCAB_BLOCK;
    vf x[VOCAB_NV];
    WIDE_FOR_OF(v, VOCAB_NV) x[v] = v_set1(-INFINITY);
    if (!c->ban)
        for (; j + 32 <= end; j += 32) vocab_max(c, j, ~0u, 1, x);
    for (; j < end; j += 32) {
        const uint32_t bits = vocab_bits(c, j);
        if (bits == ~0u) vocab_max(c, j, bits, 1, x);
        else if (bits) vocab_max(c, j, bits, 0, x);
    }
    return vocab_tree(x, 1);
}

// The next chunk of a row of logits is fetched while this one is in L1.
TK_INLINE void vocab_fetch(const tk_vocab_chunk *c, int64_t j)
{
    __builtin_prefetch(c->logits + TK_VOCAB_CHUNK + j);
    __builtin_prefetch(c->logits + TK_VOCAB_CHUNK + j + 16);
}

TK_INLINE tk_vocab_state vocab_fold_of(const tk_vocab_chunk *c, int entropy, float *most)
{
    float tops[TK_VOCAB_BLOCKS], top = -INFINITY;
    for (int b = 0; b < TK_VOCAB_BLOCKS; b++) {
        tops[b] = vocab_top(c, b * TK_VOCAB_BLOCK);
        top = tops[b] > top ? tops[b] : top;
    }
    for (int b = 0; most && b < TK_VOCAB_BLOCKS; b++) most[b] = tops[b] * c->scale;  // rounding keeps the order
    tk_vocab_state state = {.m = top * c->scale};
    if (!(state.m > -INFINITY)) {  // nothing, or nothing but -inf and NaN
        for (int64_t j = 0; j < c->width; j++)
            if (vocab_bits(c, j / 32 * 32) >> (j % 32) & 1 && isnan(c->logits[j])) state.s = NAN;
        return state;
    }
    const float slope = fminf(FLT_MAX, c->scale * 1.44269504088896341f);
    const vocab_line l = {v_set1(top), v_set1(slope), v_set1(fmaxf(-FLT_MAX, -125 / slope))};
    vf s[VOCAB_NV], t[VOCAB_NV];
    WIDE_FOR_OF(v, VOCAB_NV) s[v] = t[v] = v_zero();
    vocab_terms q;
    WIDE_FOR_OF(v, VOCAB_HALF) q.w[v] = q.r[v] = v_zero(), q.t[v] = v_set1(0x1.8p20f - 127);  // terms of 0
    for (int64_t j = 0; j < c->width; j += 32) {
        int64_t end = vocab_run(c, j);
        for (; j < end; j += 32) {
            vocab_fetch(c, j);
            vocab_add(c, j, ~0u, 1, entropy, &l, &q, s, t);
        }
        if (j >= c->width) break;
        vocab_fetch(c, j);
        uint32_t bits = vocab_bits(c, j);
        if (bits) vocab_add(c, j, bits, 0, entropy, &l, &q, s, t);
    }
    vocab_step(&(tk_vocab_chunk){0}, 0, 0, 0, 0, entropy, &l, &q, s + VOCAB_HALF, t + VOCAB_HALF);
    state.s = vocab_tree(s, 0);
    state.t = entropy ? vocab_tree(t, 0) * 0.693147180559945309f : 0;
    if (state.m == INFINITY) state.s = NAN;
    return state;
}

static tk_vocab_state TK_SIMD(vocab_fold)(const tk_vocab_chunk *c, int entropy, float *most)
{
    return entropy ? vocab_fold_of(c, 1, most) : vocab_fold_of(c, 0, most);
}

#endif
