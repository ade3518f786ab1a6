// probe.h - the probes of the machine's ceilings, for one ISA.
//
// The arithmetic loops touch no memory (but for tiles') and keep enough accumulators in registers to hide a product's latency. In an FMA the accumulator
// is a factor, lest a compiler without FMA take a constant product out of the loop. Where the ISA has no bf16 dot product, its peak
// is that of the two FMAs that stand for it, without widening the operands. Memory is read as one stream or four, with prefetch or left to
// the processor's own. copy uses ordinary stores, as ops do whose results are read next: each line that it writes is fetched first,
// which the bytes reported do not count.
#include "vec.h"

enum { PROBE_ACCUMULATORS = TK_ISA_LEVEL >= 3 ? 24 : 12 };

#define PROBE_LOOP(name, flops, product)                                                               \
    static double TK_SIMD(name)(uint64_t iterations, float x, float *sink)                             \
    {                                                                                                  \
        vf acc[PROBE_ACCUMULATORS], v = v_set1(x), w = v_set1(0.5f * x);                               \
        for (int i = 0; i < PROBE_ACCUMULATORS; i++) acc[i] = v_set1((float)i);                        \
        for (uint64_t n = 0; n < iterations; n++) {                                                    \
            TK_UNROLL(24) for (int i = 0; i < PROBE_ACCUMULATORS; i++) acc[i] = product;    \
        }                                                                                              \
        for (int i = 1; i < PROBE_ACCUMULATORS; i++) acc[0] = v_add(acc[0], acc[i]);                   \
        *sink = v_hsum(acc[0]);                                                                        \
        return (double)iterations * PROBE_ACCUMULATORS * VL * flops;                                   \
    }

// The bits of x as lanes: two bf16 each.
TK_INLINE vi probe_lanes(vf x)
{
    uint32_t lanes[VL];
    v_store((float *)lanes, x);
    return v_lanes(lanes);
}

PROBE_LOOP(probe_fma_f32, 2, v_fma(acc[i], v, w))
#if TK_ISA_LEVEL >= 4
PROBE_LOOP(probe_dot_bf16, 4, v_dot(acc[i], probe_lanes(v), probe_lanes(w)))
#else
PROBE_LOOP(probe_dot_bf16, 4, v_fma(v_fma(acc[i], v, w), v, w))
#endif

#if TK_TILES
#include "tile.h"
// The step of gemm_tile.h, from L1: two tiles by two, as many as eight registers allow, whose four operands are new at every step. Numbers are of either
// sign and several sizes. The processor's clock follows the power that it takes: the same three operands all the time run a fifth faster, as do
// zeros, and no product has those.
static double TK_SIMD(probe_tile_bf16)(uint64_t iterations, float x, float *sink)
{
    enum { STEPS = 4 };
    _Alignas(64) uint16_t operands[STEPS][4][TILE_BYTES / 2];
    _Alignas(64) float sums[TILE_BYTES / 4] = {0};
    uint32_t random = 1;
    for (int s = 0; s < STEPS; s++)
        for (int t = 0; t < 4; t++)
            for (int i = 0; i < TILE_BYTES / 2; i++) {
                random = random * 1664525 + 1013904223;
                operands[s][t][i] = (uint16_t)(f32_to_bf16(x) ^ ((random >> 16) & 0x81ff));
            }
    tile_begin(TILE_ROWS);
    tile_load(0, sums, TILE_LINE);
    tile_load(1, sums, TILE_LINE);
    tile_load(2, sums, TILE_LINE);
    tile_load(3, sums, TILE_LINE);
    for (uint64_t n = 0; n < iterations; n++) {
        const void *const o = operands[n % STEPS];
        tile_load(4, o, TILE_LINE);
        tile_load(6, (const char *)o + TILE_BYTES, TILE_LINE);
        tile_load(7, (const char *)o + 2 * TILE_BYTES, TILE_LINE);
        tile_load(5, (const char *)o + 3 * TILE_BYTES, TILE_LINE);
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 7);
        tile_dot(2, 5, 6);
        tile_dot(3, 5, 7);
    }
    tile_store(0, sums, TILE_LINE);
    tile_end();
    *sink = sums[0];
    return (double)iterations * 4 * 2 * TILE_ROWS * TILE_ROWS * TILE_K;
}
#endif

// read: `streams` at once, prefetched `ahead` bytes before their use, or not at all.
TK_INLINE void probe_read(const int streams, const int ahead, const char *p, uint64_t bytes, float *sink)
{
    const uint64_t stream = bytes / ((uint64_t)streams * 128) * 128;
    vi acc[2 * 4];
    for (int i = 0; i < 2 * streams; i++) acc[i] = v_lane1(0);
    for (uint64_t o = 0; o < stream; o += 128) {
        TK_UNROLL(4) for (int s = 0; s < streams; s++) {
            const char *at = p + (uint64_t)s * stream + o;
            if (ahead) {
                __builtin_prefetch(at + ahead, 0, 2);
                __builtin_prefetch(at + ahead + 64, 0, 2);
            }
            TK_UNROLL(8) for (int v = 0; v < 32 / VL; v++) acc[2 * s + v % 2] ^= v_lanes((const uint32_t *)(at + 4 * VL * v));
        }
    }
    for (int i = 1; i < 2 * streams; i++) acc[0] ^= acc[i];
    float lanes[VL], sum = 0;
    v_store(lanes, v_as_f32(acc[0]));
    for (int i = 0; i < VL; i++) sum += lanes[i];
    for (uint64_t o = (uint64_t)streams * stream; o < bytes; o++) sum += (float)p[o];
    *sink = sum;
}

// copy: prefetched so many bytes ahead, or not at all.
TK_INLINE void probe_copy(const int ahead_src, const int ahead_dst, char *dst, const char *src, uint64_t bytes)
{
    uint64_t o = 0;
    for (; o + 128 <= bytes; o += 128) {
        if (ahead_src) {
            __builtin_prefetch(src + o + ahead_src, 0, 2);
            __builtin_prefetch(src + o + ahead_src + 64, 0, 2);
        }
        if (ahead_dst) {
            __builtin_prefetch(dst + o + ahead_dst, 1, 2);
            __builtin_prefetch(dst + o + ahead_dst + 64, 1, 2);
        }
        TK_UNROLL(8) for (int v = 0; v < 32 / VL; v++) v_store((float *)(dst + o + 4 * VL * v), v_load((const float *)(src + o + 4 * VL * v)));
    }
    for (; o < bytes; o++) dst[o] = src[o];
}

#define PROBE_READ(number, streams, ahead)                                                                                           \
    static void TK_SIMD(probe_read_##number)(const char *p, uint64_t bytes, float *sink) { probe_read(streams, ahead, p, bytes, sink); }
#define PROBE_COPY(number, src, dst)                                                                                                 \
    static void TK_SIMD(probe_copy_##number)(char *to, const char *from, uint64_t bytes) { probe_copy(src, dst, to, from, bytes); }
PROBE_READ(0, 1, 0)
PROBE_READ(1, 4, 0)
PROBE_READ(2, 4, 4096)
PROBE_COPY(0, 0, 0)
PROBE_COPY(1, 0, 1024)
PROBE_COPY(2, 4096, 4096)

static const tk_probe_kernels TK_SIMD(probe_kernels) = {
    .fma_f32 = TK_SIMD(probe_fma_f32),
    .dot_bf16 = TK_SIMD(probe_dot_bf16),
#if TK_TILES
    .tile_bf16 = TK_SIMD(probe_tile_bf16),
#endif
    .read = {TK_SIMD(probe_read_0), TK_SIMD(probe_read_1), TK_SIMD(probe_read_2)},
    .copy = {TK_SIMD(probe_copy_0), TK_SIMD(probe_copy_1), TK_SIMD(probe_copy_2)},
};
