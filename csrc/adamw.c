// adamw.c - a step of AdamW.
//
// w, m, v, g [n] f32. The factors are computed in double and rounded once; every element then takes
//     g' = g grad_scale;  m += (1 - beta1)(g' - m);  v = beta2 v + (1 - beta2) g'^2
//     w = w (1 - lr weight_decay) - lr/(1 - beta1^step) m / (sqrt(v)/sqrt(1 - beta2^step) + epsilon)
// with each operation in f32, in the order in which torch.optim.AdamW does them. Floor: four operands read, three written.
#include <math.h>

#include "blocks.h"
#include "check.h"

typedef struct update {
    void (*step)(float *w, float *m, float *v, const float *g, int64_t n, const tk_adamw_factors *f);
    float *w, *m, *v;
    const float *g;
    tk_adamw_factors factors;
} update;

static void update_block(const void *arg, int64_t row0, int64_t row1, int64_t col0, int64_t col1)
{
    (void)row0, (void)row1;
    const update *u = arg;
    u->step(u->w + col0, u->m + col0, u->v + col0, u->g + col0, col1 - col0, &u->factors);
}

int32_t tk_cpu_adamw(uint64_t ctx, tk_adamw_args *a, tk_error *err)
{
    TK_ENTER("adamw");
    TK_TRY(tk_check_vector(err, "adamw", "w", a->w, a->n, 4));
    TK_TRY(tk_check_vector(err, "adamw", "m", a->m, a->n, 4));
    TK_TRY(tk_check_vector(err, "adamw", "v", a->v, a->n, 4));
    TK_TRY(tk_check_vector(err, "adamw", "g", a->g, a->n, 4));
    TK_REQUIRE(a->step >= 1, "adamw: step is %lld, must be 1 or more", (long long)a->step);
    TK_REQUIRE(a->lr >= 0 && isfinite(a->lr), "adamw: lr is %g, must be 0 or positive and finite", a->lr);
    TK_REQUIRE(a->beta1 >= 0 && a->beta1 < 1, "adamw: beta1 is %g, must be in [0, 1)", a->beta1);
    TK_REQUIRE(a->beta2 >= 0 && a->beta2 < 1, "adamw: beta2 is %g, must be in [0, 1)", a->beta2);
    TK_REQUIRE(a->epsilon >= 0 && isfinite(a->epsilon), "adamw: epsilon is %g, must be 0 or positive and finite", a->epsilon);
    TK_REQUIRE(a->weight_decay >= 0 && isfinite(a->weight_decay), "adamw: weight_decay is %g, must be 0 or positive and finite",
               a->weight_decay);
    TK_REQUIRE(isfinite(a->grad_scale), "adamw: grad_scale is %g, must be finite", a->grad_scale);
    double step = (double)a->step;
    update u = {.step = cx->kernels->backward->adamw, .w = TK_PTR(float, a->w), .m = TK_PTR(float, a->m), .v = TK_PTR(float, a->v),
                .g = TK_PTR(const float, a->g),
                .factors = {.grad_scale = (float)a->grad_scale, .decay = (float)(1 - a->lr * a->weight_decay), .from_m = (float)(1 - a->beta1),
                            .from_g = (float)-a->beta1, .beta2 = (float)a->beta2, .add2 = (float)(1 - a->beta2),
                            .root2 = (float)sqrt(1 - pow(a->beta2, step)), .epsilon = (float)a->epsilon,
                            .step = (float)(-a->lr / (1 - pow(a->beta1, step)))}};
    tk_run_blocks(cx, 1, a->n, 28, TK_SPLIT_COLS, update_block, &u);
    return TK_OK;
}
