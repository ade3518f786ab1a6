// elementwise.h - copy, fill, cast, add, and the table of the elementwise kernels, for one ISA.
//
// All are bound by memory: their floor is the bytes read and written.
#include "gelu.h"
#include "past.h"
#include "rmsnorm.h"
#include "rope.h"
#include "swiglu.h"

// copy: rows of some KB are copied here, since memcpy's choice above that (rep movsb) is slower than the caches. At its own pace it
// fetches what is copied next, which no hardware foresees when rows are gathered.
static void TK_SIMD(copy)(const void *src, void *dst, int64_t bytes, const void *next_src, void *next_dst)
{
    const char *s = src, *ns = next_src;
    char *d = dst, *nd = next_dst;
    enum { STEP = 128 };
    for (; bytes >= STEP; bytes -= STEP, s += STEP, d += STEP, ns += STEP, nd += STEP) {
        __builtin_prefetch(ns, 0, 2);
        __builtin_prefetch(ns + 64, 0, 2);
        __builtin_prefetch(nd, 1, 2);
        __builtin_prefetch(nd + 64, 1, 2);
        vf x[STEP / (4 * VL)];
        memcpy(x, s, STEP);
        memcpy(d, x, STEP);
    }
    memcpy(d, s, (size_t)bytes);
}

// fill: whole lines past the caches, or all in the ordinary way. lane holds what fills 4 bytes.
TK_INLINE void fill_lanes(char *x, int64_t bytes, uint32_t lane, int past)
{
    const vi all = v_lane1(lane);
    uint32_t lanes[16];
    for (int i = 0; i < 16; i++) lanes[i] = lane;
    const int64_t head = past ? (int64_t)(-(uintptr_t)x & 63) : 0;
    memcpy(x, lanes, (size_t)(head < bytes ? head : bytes));
    int64_t o = head;
    if (past) {
        for (; o + 64 <= bytes; o += 64)
            for (int v = 0; v < 16; v += VL) v_store_past(1, (uint32_t *)(x + o) + v, all);
        v_past_fence();
    }
    for (; o + 64 <= bytes; o += 64) memcpy(x + o, lanes, 64);
    if (o < bytes) memcpy(x + o, lanes, (size_t)(bytes - o));
}

static void TK_SIMD(fill_f32)(void *x, int64_t n, float value, int past)
{
    uint32_t lane;
    memcpy(&lane, &value, 4);
    fill_lanes(x, n * 4, lane, past);
}

static void TK_SIMD(fill_bf16)(void *x, int64_t n, float value, int past) { fill_lanes(x, n * 2, f32_to_bf16(value) * 0x10001u, past); }

// narrow is exact for every input, bf16's denormals included, which the conversion instruction flushes: a bf16 value that went
// through f32 comes back as it was.
static void TK_SIMD(narrow)(const float *x, uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = f32_to_bf16(x[i]);
}

static void TK_SIMD(widen)(const uint16_t *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_load_bf16(x + i));
    if (i < n) v_storen(y + i, v_loadn_bf16(x + i, n - i), n - i);
}

#define ADD_ROW(T, type)                                                                                          \
    static void TK_SIMD(add_##T)(const void *av, const void *bv, void *yv, int64_t n)                            \
    {                                                                                                             \
        const type *a = av, *b = bv;                                                                              \
        type *y = yv;                                                                                             \
        int64_t i = 0;                                                                                            \
        for (; i + WIDE_LANES <= n; i += WIDE_LANES) {                                                            \
            vf x[WIDE], z[WIDE];                                                                                  \
            wide_get_##T(a + i, x), wide_get_##T(b + i, z);                                                       \
            WIDE_FOR(l) x[l] = v_add(x[l], z[l]);                                                                 \
            wide_put_##T(y + i, x);                                                                               \
        }                                                                                                         \
        for (; i + VL <= n; i += VL) v_put_##T(y + i, v_add(v_get_##T(a + i), v_get_##T(b + i)));                 \
        if (i < n) v_putn_##T(y + i, v_add(v_getn_##T(a + i, n - i), v_getn_##T(b + i, n - i)), n - i);           \
    }

ADD_ROW(f32, float)
ADD_ROW(bf16, uint16_t)

static const tk_elementwise_kernels TK_SIMD(elementwise_kernels) = {
    .copy = TK_SIMD(copy),
    .fill = {TK_SIMD(fill_f32), TK_SIMD(fill_bf16)},
    .narrow = TK_SIMD(narrow),
    .widen = TK_SIMD(widen),
    .add = {TK_SIMD(add_f32), TK_SIMD(add_bf16)},
    .swiglu = {TK_SIMD(swiglu_f32), TK_SIMD(swiglu_bf16)},
    .gelu = {TK_SIMD(gelu_f32), TK_SIMD(gelu_bf16)},
    .rmsnorm = {TK_SIMD(rmsnorm_f32), TK_SIMD(rmsnorm_bf16)},
    .angles = TK_SIMD(angles),
    .sincos = TK_SIMD(sincos),
#if TK_ISA_LEVEL >= 2
    .angles_near = TK_SIMD(angles_near),
    .sincos_near = TK_SIMD(sincos_near),
#endif
    .rope = {TK_SIMD(rope_f32), TK_SIMD(rope_bf16)},
};
