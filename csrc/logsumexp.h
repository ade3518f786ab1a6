// logsumexp.h - the state of a log-sum-exp and entropy over the chunks of a row: chunk states merged left to right in double.
#ifndef TK_LOGSUMEXP_H
#define TK_LOGSUMEXP_H

#include <math.h>
#include <stddef.h>

#include "vocab_kernels.h"

// m is the maximum of z so far, s the sum of e^(z-m), t that of (z-m) e^(z-m); s is 0 before the first column.
typedef struct tk_lse {
    double m, s, t;
} tk_lse;

static inline tk_lse tk_lse_merge(tk_lse a, tk_vocab_state c)
{
    tk_lse b = {(double)c.m, (double)c.s, (double)c.t};
    if (b.s == 0) return a;
    if (a.s == 0) return b;
    double m = a.m > b.m ? a.m : b.m, da = a.m - m, db = b.m - m, ea = da == 0 ? 1 : exp(da), eb = db == 0 ? 1 : exp(db);
    return (tk_lse){m, a.s * ea + b.s * eb, (a.t + da * a.s) * ea + (b.t + db * b.s) * eb};
}

static inline tk_lse tk_lse_of(const tk_vocab_state *states, int64_t chunks)
{
    tk_lse a = {-INFINITY, 0, 0};
    for (int64_t i = 0; i < chunks; i++) a = tk_lse_merge(a, states[i]);
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
    for (int64_t j = 0; j < n; j += 32) {
        uint32_t bits = n - j >= 32 ? ban[j / 32] : ban[j / 32] & ((1u << (n - j)) - 1);
        left -= __builtin_popcount(bits);
    }
    return left;
}

static inline int tk_vocab_banned(const uint32_t *ban, int64_t j) { return ban && ban[j / 32] >> (j % 32) & 1; }

#endif
