// backward_kernels.h - ISA-dependent functions of the backward passes of norms and activations, and of the optimizer. Pairs are
// [f32, bf16], the storage type of what the forward pass kept.
#ifndef TK_BACKWARD_KERNELS_H
#define TK_BACKWARD_KERNELS_H

#include <stdint.h>

// The factors of an AdamW step, rounded to f32.
typedef struct tk_adamw_factors {
    float grad_scale;
    float decay;       // 1 - lr weight_decay
    float from_m;      // 1 - beta1
    float from_g;      // -beta1: the way from g' back to m, for beta1 <= 1/2
    float beta2;
    float add2;        // 1 - beta2
    float root2;       // sqrt(1 - beta2^step)
    float epsilon;
    float step;        // -lr/(1 - beta1^step)
} tk_adamw_factors;

typedef struct tk_backward_kernels {
    // Rows in turn: dw[j] += dy[j] x[j] rstd. ldx is in bytes.
    void (*rmsnorm_dw[2])(const void *x, int64_t ldx, const float *dy, int64_t lddy, const float *rstd, float *dw, int64_t rows, int64_t cols);
    // One row of dx, added to what it holds if accumulate. The next row's x and dy are only fetched.
    void (*rmsnorm_dx[2])(const void *x, const float *weight, float rstd, const float *dy, float *dx, int64_t cols, int accumulate,
                          const void *next_x, const float *next_dy);
    void (*swiglu[2])(const void *gate, const void *up, const float *dy, float *dgate, float *dup, int64_t n);
    void (*gelu[2])(const void *x, const float *dy, float *dx, int64_t n);
    void (*adamw)(float *w, float *m, float *v, const float *g, int64_t n, const tk_adamw_factors *f);
    // The sum of the squares of the finite ones of n elements, n <= 4096, and how many are not finite.
    double (*square_sum)(const float *x, int64_t n, int64_t *nonfinite);
} tk_backward_kernels;

#endif
