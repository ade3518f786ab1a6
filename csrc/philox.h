// philox.h - Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011).
#ifndef TK_PHILOX_H
#define TK_PHILOX_H

#include <stdint.h>

static inline void tk_philox(uint32_t counter[4], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53 * counter[0], p1 = (uint64_t)0xCD9E8D57 * counter[2];
        counter[0] = (uint32_t)(p1 >> 32) ^ counter[1] ^ key0;
        counter[2] = (uint32_t)(p0 >> 32) ^ counter[3] ^ key1;
        counter[1] = (uint32_t)p1;
        counter[3] = (uint32_t)p0;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
}

// tk_philox_uniform is the variate in [0, 1) of a seed and counter: the first two words, the first one high, as a 53-bit fraction.
static inline double tk_philox_uniform(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t c[4] = {c0, c1, c2, c3};
    tk_philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
    return (double)(((uint64_t)c[0] << 32 | c[1]) >> 11) * 0x1p-53;
}

#endif
