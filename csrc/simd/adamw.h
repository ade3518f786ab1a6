// adamw.h - an AdamW step over n elements, for one ISA: see adamw.c.
#include "vec.h"

// m moves to g by 1 - beta1 of the way between them, from the nearer end: with beta1 0 it is g to the bit.
TK_INLINE void adamw_step(float *w, float *m, float *v, const float *g, long n, const tk_adamw_factors *f, int near_m)
{
#define ADAMW_GET(p) (n == VL ? v_load(p) : v_loadn(p, n))
    vf grad = v_mul(ADAMW_GET(g), v_set1(f->grad_scale)), m0 = ADAMW_GET(m), way = v_sub(grad, m0);
    vf m1 = near_m ? v_fma(v_set1(f->from_m), way, m0) : v_fma(v_set1(f->from_g), way, grad);
    vf v1 = v_fma(v_mul(v_set1(f->add2), grad), grad, v_mul(v_set1(f->beta2), ADAMW_GET(v)));
    vf size = v_add(v_div(v_sqrt(v1), v_set1(f->root2)), v_set1(f->epsilon));
    vf w1 = v_add(v_mul(ADAMW_GET(w), v_set1(f->decay)), v_div(v_mul(v_set1(f->step), m1), size));
#undef ADAMW_GET
    if (n == VL) {
        v_store(m, m1);
        v_store(v, v1);
        v_store(w, w1);
    } else {
        v_storen(m, m1, n);
        v_storen(v, v1, n);
        v_storen(w, w1, n);
    }
}

TK_INLINE void adamw_steps(float *w, float *m, float *v, const float *g, int64_t n, const tk_adamw_factors *f, int near_m)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) adamw_step(w + i, m + i, v + i, g + i, VL, f, near_m);
    if (i < n) adamw_step(w + i, m + i, v + i, g + i, n - i, f, near_m);
}

static void TK_SIMD(adamw)(float *w, float *m, float *v, const float *g, int64_t n, const tk_adamw_factors *factors)
{
    const tk_adamw_factors f = *factors;
    if (f.from_m < 0.5f) adamw_steps(w, m, v, g, n, &f, 1);
    else adamw_steps(w, m, v, g, n, &f, 0);
}
