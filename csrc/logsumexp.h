// logsumexp.h - the state of a log-sum-exp and entropy over the chunks of a row: the sum of their states in double.
#ifndef TK_LOGSUMEXP_H
#define TK_LOGSUMEXP_H

#include <math.h>
#include <stddef.h>

#include "numerics.h"
#include "vocab_kernels.h"

// m is the maximum of z so far, s the sum of e^(z-m), t that of (z-m) e^(z-m); s is 0 before the first column.
typedef struct tk_lse {
    double m, s, t;
} tk_lse;

// tk_lse_of adds the states left to right, as shares of the largest maximum; mass, if any, gets those of s.
static inline tk_lse tk_lse_of(const tk_vocab_kernels *k, const tk_vocab_state *states, int64_t chunks, double *mass)
{
    tk_lse a = {-INFINITY, 0, 0};
    for (int64_t i = 0; i < chunks; i++)
        if (states[i].s != 0 && (double)states[i].m > a.m) a.m = (double)states[i].m;
    for (int64_t i = 0; i < chunks;) {
        double e[64];
        const int64_t from = i, end = chunks - i < 64 ? chunks : i + 64;
        k->shares(states + from, end - from, a.m, e);
        for (; i < end; i++) {
            const double d = (double)states[i].m - a.m, s = (double)states[i].s;
            if (mass) mass[i] = s * e[i - from];
            if (s == 0) continue;
            a.s += s * e[i - from];
            a.t += ((double)states[i].t + d * s) * e[i - from];
        }
    }
    return a;
}

static inline float tk_lse_value(tk_lse a) { return (float)(a.m + log(a.s)); }
static inline float tk_lse_logprob(tk_lse a, float z) { return (float)((double)z - a.m - log(a.s)); }

static inline float tk_lse_entropy(tk_lse a)
{
    double h = log(a.s) - a.t / a.s;
    return h < 0 ? 0 : (float)h;
}

// The number of chunks of n columns.
static inline int64_t tk_vocab_chunks(int64_t n) { return (n + TK_VOCAB_CHUNK - 1) / TK_VOCAB_CHUNK; }

// Chunk i of a row of n logits.
static inline tk_vocab_chunk tk_vocab_chunk_at(const float *row, const uint32_t *ban, int64_t n, int64_t i, float scale)
{
    int64_t at = i * TK_VOCAB_CHUNK, width = n - at < TK_VOCAB_CHUNK ? n - at : TK_VOCAB_CHUNK;
    return (tk_vocab_chunk){.logits = row + at, .ban = ban ? ban + at / 32 : NULL, .width = width, .scale = scale};
}

// The columns of n that ban (bits, or NULL) leaves.
static inline int64_t tk_vocab_left(const uint32_t *ban, int64_t n)
{
    if (!ban) return n;
    int64_t left = n;
    for (int64_t w = 0, words = n / 32; w < words;) {
        const int64_t end = w + 24 < words ? w + 24 : words;
        uint32_t bytes = 0;  // the bits of the words, byte by byte: a processor that counts them is not taken for granted
        for (; w < end; w++) {
            uint32_t x = ban[w] - (ban[w] >> 1 & 0x55555555u);
            x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
            bytes += (x + (x >> 4)) & 0x0f0f0f0fu;
        }
        bytes = (bytes & 0x00ff00ffu) + (bytes >> 8 & 0x00ff00ffu);
        left -= (int64_t)((bytes + (bytes >> 16)) & 0xffffu);
    }
    if (n % 32) left -= __builtin_popcount(ban[n / 32] & ((1u << (n % 32)) - 1));
    return left;
}

static inline int tk_vocab_banned(const uint32_t *ban, int64_t j) { return ban && ban[j / 32] >> (j % 32) & 1; }

#endif
