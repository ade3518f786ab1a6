// vocab_kernels.h - ISA-dependent functions of log-probs and sampling.
#ifndef TK_VOCAB_KERNELS_H
#define TK_VOCAB_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"
#include "matmul_kernels.h"

enum {
    TK_VOCAB_WORDS = TK_VOCAB_CHUNK / 32,  // words of a chunk's bits
    TK_VOCAB_BLOCK = 128,                  // columns that a fold tells the maximum of
    TK_VOCAB_BLOCKS = TK_VOCAB_CHUNK / TK_VOCAB_BLOCK,
};

// The columns z of one chunk, folded: m their maximum (-inf when there is none), s the sum of e^(z-m), t that of (z-m) e^(z-m).
// s is NaN when one of them is NaN or +inf. t may be left out.
typedef struct tk_vocab_state {
    float m, s, t;
} tk_vocab_state;

// A chunk of a row of logits: `width` columns, at most TK_VOCAB_CHUNK, of which ban (bits, or NULL) leaves some; z = scale * logits.
typedef struct tk_vocab_chunk {
    const float *logits;
    const uint32_t *ban;
    int64_t width;
    float scale;
} tk_vocab_chunk;

// What a row's gradient with respect to z is made of: see logprob_backward. target is a column of the chunk, or none of it.
typedef struct tk_vocab_gradient {
    int64_t target;
    float lse, entropy, dlogprob, dentropy;
} tk_vocab_gradient;

typedef struct tk_vocab_kernels {
    // Logits [rows, 32 panels] (row stride ldz) of x [rows, k], laid out where the ISA wants it, and packed weights; f32, bf16.
    void (*logits[2])(const void *x, const tk_staged *staged, int64_t rows, int64_t ldx, int64_t k, const uint32_t *w, int64_t panels, float *z,
                      int64_t ldz);
    // The state of a chunk; without entropy t is 0, m and s are the same. most, if not NULL, gets the maxima of its blocks.
    tk_vocab_state (*fold)(const tk_vocab_chunk *c, int entropy, float *most);
    // e^(m - max) of n states; 0 where s is 0, and below e^-708.
    void (*shares)(const tk_vocab_state *states, int64_t n, double max, double *e);
    // The columns that are not banned and have lo <= z < hi, as bits; of these z, the order of z as integers (both zeros have one),
    // and e^(z - max), or 0 where that is less than least. z, order and e may be NULL; they have room for TK_VOCAB_CHUNK, bits for
    // TK_VOCAB_WORDS. For the other columns, up to a multiple of 32, bits and e are 0 and the rest is unspecified.
    void (*select)(const tk_vocab_chunk *c, float max, float lo, float hi, float least, uint32_t *bits, float *z, uint32_t *order, float *e);
    // The sum of n (a multiple of 32) values, in double, by 16 lanes.
    double (*sum)(const float *e, int64_t n);
    // The gradient with respect to the logits, 0 in banned columns; dz may be the logits, and has room for TK_VOCAB_CHUNK.
    void (*gradient)(const tk_vocab_chunk *c, const tk_vocab_gradient *g, float *dz);
} tk_vocab_kernels;

#endif
