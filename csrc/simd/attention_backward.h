// attention_backward.h - the gradients of attention, of a tile of query rows and a block of keys, for one ISA.
//
// For rows r of a tile (heads within positions) and keys j of a block, all f32:
//     s = q k^T, dp = dout v^T                            [rows][keys], dim steps
//     p = e^(scale s - lse), ds = scale p (dp - d)        0 where r does not see j
//     dv += p^T dout, dk += ds^T q                        [keys][dim], rows steps
//     dq += ds k                                          [rows][dim], keys steps
//
// Idea: all five are C += A B on register blocks, with elements of A broadcast and vectors of B loaded, so A may stand either way
// round: p and ds serve as they are and transposed, and q and dout, in panels of 16 columns, as A of the first two products and B of the
// last. Only k and v are needed transposed too, once a block. Within a panel the steps of B are consecutive lines; a panel of B and the
// rows of A that pass over it stay in L1, everything (some 300 KB at dim 128) in L2. Register blocks that the mask empties are left
// out, and so are steps that it empties for a whole register block.
//
// Floor: 10 dim FLOPs a visible pair. Around them, a pair costs one exponential and the tile's rows are read, and dq's read and
// written, once a block.
//
// Numerics: each element of s, dp, dq, dk and dv is one accumulator that takes its steps in increasing order from +0, whatever the
// tiles and blocks; steps that the mask takes out add nothing.
#ifndef TK_SIMD_ATTENTION_BACKWARD_H
#define TK_SIMD_ATTENTION_BACKWARD_H

#include "dtype.h"
#include "expneg.h"
#include "fetch.h"
#include "lanes.h"
#include "past.h"
#include "transpose.h"

// A register block is GRAD_MR rows by GRAD_NV vectors, or fewer rows at the end, or one panel where only one is left. AVX-512 takes three
// last panels together, in GRAD_MR_THREE rows: of a lone one the loads of A's elements set the pace.
#if TK_ISA_LEVEL >= 3
enum { GRAD_MR = 12, GRAD_NV = 2 };
#elif TK_ISA_LEVEL == 2
enum { GRAD_MR = 6, GRAD_NV = 2 };
#else
enum { GRAD_MR = 2, GRAD_NV = 4 };
#endif
enum {
    GRAD_MR_THREE = 8,
    GRAD_NV_MOST = 4,
    GRAD_W = TK_GRAD_PANEL,
    GRAD_PANEL_NV = GRAD_W / VL,  // vectors of one panel
    GRAD_PANEL = TK_GRAD_PANEL_FLOATS,
};
_Static_assert(TK_GRAD_ROWS == TK_GRAD_KEYS, "the panels of rows and of keys have one size");

// How A stands: rows of panels, rows of p or ds, columns of p or ds.
enum grad_a { GRAD_PANELS, GRAD_ROWS, GRAD_COLUMNS };

// grad_block: C[mr][nv vectors] = A B, or C + A B with accumulate. panel: floats from one panel of B to the next. Row i of C is at
// c + at[i], and with past it is stored past the caches. f is fetched meanwhile.
TK_INLINE void grad_block(const enum grad_a kind, const int mr, const int nv, long steps, const float *a, const float *b, long panel, float *c,
                          const int64_t *at, int accumulate, int past, tk_fetches *f)
{
    const long row = kind == GRAD_PANELS ? GRAD_W : kind == GRAD_ROWS ? TK_GRAD_LD : 1, step = kind == GRAD_COLUMNS ? TK_GRAD_LD : 1;
    vf acc[GRAD_MR][GRAD_NV_MOST];
    LANES_FOR(i, mr) LANES_FOR(j, nv) acc[i][j] = accumulate ? v_load(c + at[i] + j * VL) : v_zero();
    for (long s = 0; s < steps;) {
        const long stop = steps - s < GRAD_W ? steps : s + GRAD_W;
        fetch_some(f, (stop - s) * mr * nv * VL);
        for (; s < stop; s++, a += step, b += GRAD_W) {
            vf x[GRAD_NV_MOST];
            LANES_FOR(j, nv) x[j] = v_load(b + j * VL / GRAD_W * panel + j * VL % GRAD_W);
            LANES_FOR(i, mr) {
                vf y = v_set1(a[i * row]);
                LANES_FOR(j, nv) acc[i][j] = v_fma(y, x[j], acc[i][j]);
            }
        }
        if (kind == GRAD_PANELS) a += GRAD_PANEL - GRAD_W;
    }
    LANES_FOR(i, mr) LANES_FOR(j, nv) {
        if (PAST_RESULTS && kind == GRAD_ROWS && past) v_store_past(1, (uint32_t *)(c + at[i] + j * VL), v_lanes_of(acc[i][j]));
        else v_store(c + at[i] + j * VL, acc[i][j]);
    }
}

// GRAD_EACH_BLOCK calls block(mr, i, ...) for i = 0 .. n in register blocks.
#define GRAD_EACH_BLOCK(mr, n, block, ...)                                          \
    {                                                                               \
        long i = 0;                                                                 \
        for (; i + mr <= (n); i += mr) block(mr, i, __VA_ARGS__);                   \
        if (GRAD_MR > 4)                                                            \
            for (; i + 4 <= (n); i += 4) block(4, i, __VA_ARGS__);                  \
        if (GRAD_MR > 2 && i + 2 <= (n)) { block(2, i, __VA_ARGS__); i += 2; }      \
        if (i < (n)) block(1, i, __VA_ARGS__);                                      \
    }

// grad_seen is how many keys row r sees, grad_first the first row that sees key j.
TK_INLINE long grad_seen(const tk_grad_mask *m, long r)
{
    long n = m->step ? m->see + r / m->heads * m->step : m->see;
    return n < m->keys ? n : m->keys;
}
TK_INLINE long grad_first(const tk_grad_mask *m, long j) { return m->step && j >= m->see ? (j - m->see + 1) * m->heads : 0; }

// What the strips of a product have in common. at: where the rows of C begin.
typedef struct grad_run {
    const tk_grad_tile *t;
    const tk_grad_mask *m;
    const float *a, *b;
    float *c;
    int64_t at[TK_GRAD_ROWS];
    long rows, accumulate, past;
} grad_run;

// Register blocks of s or dp: rows i .. i+mr, keys j and on.
TK_INLINE void score_rows(const int mr, long i, const int nv, const grad_run *r, long j)
{
    const tk_grad_tile *t = r->t;
    if (grad_seen(r->m, i + mr - 1) <= j) return;
    grad_block(GRAD_PANELS, mr, nv, t->dim, r->a + i * GRAD_W, r->b + j * t->dimp, t->dimp * GRAD_W, r->c + j, r->at + i, 0, 0,
               t->fetches);
}

// Register blocks of dk or dv: keys i .. i+mr, columns j and on.
TK_INLINE void key_rows(const int mr, long i, const int nv, const grad_run *r, long j)
{
    long first = grad_first(r->m, i), steps = r->rows - first;
    if (steps <= 0) return;
    const float *a = r->a + first * TK_GRAD_LD + i, *b = r->b + j / GRAD_W * GRAD_PANEL + first * GRAD_W;
    grad_block(GRAD_COLUMNS, mr, nv, steps, a, b, GRAD_PANEL, r->c + j, r->at + i, 1, 0, r->t->fetches);
}

// Register blocks of dq: rows i .. i+mr, columns j and on.
TK_INLINE void query_rows(const int mr, long i, const int nv, const grad_run *r, long j)
{
    const float *a = r->a + i * TK_GRAD_LD, *b = r->b + j / GRAD_W * GRAD_PANEL;
    grad_block(GRAD_ROWS, mr, nv, grad_seen(r->m, i + mr - 1), a, b, GRAD_PANEL, r->c + j, r->at + i, (int)r->accumulate, (int)r->past,
               NULL);
}

// A strip: all rows of C, nv vectors of its columns.
#define GRAD_STRIPS(name, mr, nv)                                                               \
    static __attribute__((noinline, unused)) void score_strip_##name(const grad_run *r, long j) \
    {                                                                                           \
        GRAD_EACH_BLOCK(mr, r->rows, score_rows, nv, r, j)                                      \
    }                                                                                           \
    static __attribute__((noinline, unused)) void key_strip_##name(const grad_run *r, long j)   \
    {                                                                                           \
        GRAD_EACH_BLOCK(mr, r->m->keys, key_rows, nv, r, j)                                     \
    }                                                                                           \
    static __attribute__((noinline, unused)) void query_strip_##name(const grad_run *r, long j) \
    {                                                                                           \
        GRAD_EACH_BLOCK(mr, r->rows, query_rows, nv, r, j)                                      \
    }
GRAD_STRIPS(wide, GRAD_MR, GRAD_NV)
GRAD_STRIPS(panel, GRAD_MR, GRAD_PANEL_NV)
#if TK_ISA_LEVEL >= 3
GRAD_STRIPS(three, GRAD_MR_THREE, 3)
#define GRAD_LAST_THREE(n, strip, r, j)                      \
    if ((n) - (j) > 2 * GRAD_W && (n) - (j) <= 3 * GRAD_W) { \
        strip##_three(r, j);                                 \
        break;                                               \
    }
#else
#define GRAD_LAST_THREE(n, strip, r, j)
#endif
#undef GRAD_STRIPS

// GRAD_EACH_STRIP calls the strip at columns j = 0 .. n, n a multiple of GRAD_W or rounded up to one.
#define GRAD_EACH_STRIP(n, strip, r)                                        \
    for (long j = 0; j < (n); j += GRAD_NV * VL) {                          \
        GRAD_LAST_THREE(n, strip, r, j)                                     \
        if (GRAD_PANEL_NV == 1 && j + GRAD_W >= (n)) strip##_panel(r, j);   \
        else strip##_wide(r, j);                                            \
    }

// grad_run_of is a product whose C has rows ld apart.
TK_INLINE grad_run grad_run_of(const tk_grad_tile *t, const tk_grad_mask *m, const float *a, const float *b, float *c, long ld)
{
    grad_run r;
    r.t = t, r.m = m, r.a = a, r.b = b, r.c = c, r.rows = m->positions * m->heads, r.accumulate = 1, r.past = 0;
    for (long i = 0; i < TK_GRAD_ROWS; i++) r.at[i] = i * ld;
    return r;
}

// grad_row turns row r of s and dp into p and ds.
TK_INLINE void grad_row(const tk_grad_tile *t, const tk_grad_mask *m, long r, float lse, float d)
{
    const long seen = lse == -INFINITY ? 0 : grad_seen(m, r);
    const vf scale = v_set1(t->scale), norm = v_set1(-lse), delta = v_set1(d), most = v_set1(EXPNEG_MOST);
    float *p = t->p + r * TK_GRAD_LD, *ds = t->ds + r * TK_GRAD_LD;
    for (long j = 0; j < m->keys; j += VL) {
        vf e = v_zero(), g = v_zero();
        if (j < seen) {
            e = v_expdown(v_min(most, v_fma(scale, v_load(p + j), norm)));  // not above 0, but for rounding
            g = v_mul(v_mul(scale, e), v_sub(v_load(ds + j), delta));
            if (j + VL > seen) {
                uint32_t mask = ((uint32_t)1 << (seen - j)) - 1;
                e = v_keep(mask, e, v_zero());
                g = v_keep(mask, g, v_zero());
            }
        }
        v_store(p + j, e);
        v_store(ds + j, g);
    }
}

static void TK_SIMD(grad_weights)(const tk_grad_tile *t, const tk_grad_mask *m, const float *lse, const float *d, int64_t ld)
{
    grad_run s = grad_run_of(t, m, t->q, t->kt, t->p, TK_GRAD_LD);
    GRAD_EACH_STRIP(m->keys, score_strip, &s)
    s.a = t->dout, s.b = t->vt, s.c = t->ds;
    GRAD_EACH_STRIP(m->keys, score_strip, &s)
    for (long n = 0; n < m->positions; n++)
        for (long h = 0; h < m->heads; h++) grad_row(t, m, n * m->heads + h, lse[n * ld + h], d[n * ld + h]);
}

static void TK_SIMD(grad_add_keys)(const tk_grad_tile *t, const tk_grad_mask *m)
{
    grad_run s = grad_run_of(t, m, t->p, t->dout, t->dv, t->dimp);
    GRAD_EACH_STRIP(t->dimp, key_strip, &s)
    s.a = t->ds, s.b = t->q, s.c = t->dk;
    GRAD_EACH_STRIP(t->dimp, key_strip, &s)
}

// A row of n floats.
TK_INLINE void grad_copy(float *y, const float *x, long n)
{
    long j = 0;
    for (; j + VL <= n; j += VL) v_store(y + j, v_load(x + j));
    if (j < n) v_storen(y + j, v_loadn(x + j, n - j), n - j);
}

static void TK_SIMD(grad_add_rows)(const tk_grad_tile *t, const tk_grad_mask *m, float *dq, int64_t lddq, int first, int final)
{
    const int whole = t->dim == t->dimp;
    int64_t at[TK_GRAD_ROWS];
    grad_run s = grad_run_of(t, m, t->ds, t->k, whole ? dq : t->dq, t->dimp);
    s.accumulate = !first;
    s.past = t->past && final;
    for (long r = 0; r < s.rows; r++) at[r] = r / m->heads * lddq + r % m->heads * t->dim;
    if (whole) memcpy(s.at, at, sizeof at);
    else if (!first)
        for (long r = 0; r < s.rows; r++) grad_copy(t->dq + r * t->dimp, dq + at[r], t->dim);
    GRAD_EACH_STRIP(t->dimp, query_strip, &s)
    if (whole) return;
    for (long r = 0; r < s.rows; r++) grad_copy(dq + at[r], t->dq + r * t->dimp, t->dim);
}

TK_INLINE void grad_result(float *y, const float *x, long n, int past)
{
    if (PAST_RESULTS && past)
        for (long j = 0; j < n; j += VL) v_store_past(1, (uint32_t *)(y + j), v_lanes((const uint32_t *)x + j));
    else grad_copy(y, x, n);
}

static void TK_SIMD(grad_store)(const tk_grad_tile *t, int64_t n, float *dk, int64_t lddk, float *dv, int64_t lddv)
{
    for (long i = 0; i < n; i++) {
        grad_result(dk + i * lddk, t->dk + i * t->dimp, t->dim, t->past);
        grad_result(dv + i * lddv, t->dv + i * t->dimp, t->dim, t->past);
    }
}

static void TK_SIMD(grad_written)(void) { v_past_fence(); }

// grad_transpose: panels of 64 rows to those of the transpose, n rows at least.
TK_INLINE void grad_transpose(long dimp, long n, const float *x, float *y)
{
    for (long j = 0; j < n; j += VL)
        for (long c = 0; c < dimp; c += VL) {
            vi r[VL];
            LANES_FOR(i, VL) r[i] = v_lanes((const uint32_t *)(x + c / GRAD_W * GRAD_PANEL + (j + i) * GRAD_W + c % GRAD_W));
            v_transpose(r);
            LANES_FOR(i, VL) v_store(y + j / GRAD_W * GRAD_W * dimp + (c + i) * GRAD_W + j % GRAD_W, v_as_f32(r[i]));
        }
}

#define GRAD_LOADS(T, type)                                                                                                                         \
    /* n rows of dim elements to panels, zeros from dim on */                                                                                       \
    TK_INLINE void grad_panels_##T(long dim, long n, const type *x, long ldx, float *y)                                                             \
    {                                                                                                                                               \
        for (long r = 0; r < n; r++, x += ldx, y += GRAD_W) {                                                                                       \
            float *to = y;                                                                                                                          \
            for (long c = 0; c < dim; c += GRAD_W, to += GRAD_PANEL)                                                                                \
                LANES_FOR(j, GRAD_PANEL_NV) {                                                                                                       \
                    long left = dim - c - j * VL;                                                                                                   \
                    v_store(to + j * VL, left >= VL ? v_get_##T(x + c + j * VL) : left > 0 ? v_getn_##T(x + c + j * VL, left) : v_zero());          \
                }                                                                                                                                   \
        }                                                                                                                                           \
    }                                                                                                                                               \
                                                                                                                                                    \
    /* each is a lane and takes its columns in dp's order: where one key has all of the weight, dp - d is 0 */                                      \
    static void TK_SIMD(grad_delta_##T)(int64_t count, int64_t dim, const void *out, int64_t ldo, const float *dout, int64_t lddo, float *d,        \
                                        int64_t ldd)                                                                                                \
    {                                                                                                                                               \
        for (long h = 0; h < count; h += VL) {                                                                                                      \
            vf sum = v_zero();                                                                                                                      \
            for (long c = 0; c < dim; c += VL) {                                                                                                    \
                vi o[VL], g[VL];                                                                                                                    \
                long n = dim - c < VL ? dim - c : VL;                                                                                               \
                LANES_FOR(i, VL) {                                                                                                                  \
                    long at = h + i < count ? h + i : count - 1;                                                                                    \
                    const type *x = (const type *)out + at * ldo + c;                                                                               \
                    o[i] = v_lanes_of(n == VL ? v_get_##T(x) : v_getn_##T(x, n));                                                                   \
                    g[i] = v_lanes_upto(dout + at * lddo + c, n);                                                                                   \
                }                                                                                                                                   \
                v_transpose(o);                                                                                                                     \
                v_transpose(g);                                                                                                                     \
                LANES_FOR(i, VL) if (i < n) sum = v_fma(v_as_f32(g[i]), v_as_f32(o[i]), sum);                                                       \
            }                                                                                                                                       \
            _Alignas(64) float sums[VL];                                                                                                            \
            v_store(sums, sum);                                                                                                                     \
            for (long i = 0; i < VL && h + i < count; i++) d[(h + i) * ldd] = sums[i];                                                              \
        }                                                                                                                                           \
    }                                                                                                                                               \
                                                                                                                                                    \
    static void TK_SIMD(grad_keys_##T)(const tk_grad_tile *t, int64_t n, const void *k, int64_t ldk, const void *v, int64_t ldv)                    \
    {                                                                                                                                               \
        grad_panels_##T(t->dim, n, v, ldv, t->k);                                                                                                   \
        grad_transpose(t->dimp, n, t->k, t->vt);                                                                                                    \
        grad_panels_##T(t->dim, n, k, ldk, t->k);                                                                                                   \
        grad_transpose(t->dimp, n, t->k, t->kt);                                                                                                    \
        memset(t->dk, 0, (size_t)(n * t->dimp) * sizeof(float));                                                                                    \
        memset(t->dv, 0, (size_t)(n * t->dimp) * sizeof(float));                                                                                    \
    }                                                                                                                                               \
                                                                                                                                                    \
    static void TK_SIMD(grad_rows_##T)(const tk_grad_tile *t, const tk_grad_mask *m, const void *q, int64_t ldq, const float *dout, int64_t lddo)   \
    {                                                                                                                                               \
        for (long n = 0; n < m->positions; n++) {                                                                                                   \
            long at = n * m->heads * GRAD_W;                                                                                                        \
            grad_panels_##T(t->dim, m->heads, (const type *)q + n * ldq, t->dim, t->q + at);                                                        \
            grad_panels_f32(t->dim, m->heads, dout + n * lddo, t->dim, t->dout + at);                                                               \
        }                                                                                                                                           \
    }
GRAD_LOADS(f32, float)
GRAD_LOADS(bf16, uint16_t)
#undef GRAD_LOADS

static const tk_attention_backward_kernels TK_SIMD(attention_backward_kernels) = {
#define GRAD_OPS(T)                                                                                                 \
    {                                                                                                               \
        .delta = TK_SIMD(grad_delta_##T), .keys = TK_SIMD(grad_keys_##T), .rows = TK_SIMD(grad_rows_##T),           \
        .weights = TK_SIMD(grad_weights), .add_keys = TK_SIMD(grad_add_keys), .add_rows = TK_SIMD(grad_add_rows),   \
        .store = TK_SIMD(grad_store), .past = PAST_RESULTS, .written = TK_SIMD(grad_written),            \
    }
    .f32 = GRAD_OPS(f32),
    .bf16 = GRAD_OPS(bf16),
#undef GRAD_OPS
};

#endif
