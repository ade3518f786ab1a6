// patch_embed.c - the vision tower's Conv3d, whose stride is its kernel: a matmul over pixels rounded to dtype.
#include "packed.h"

enum { NARROW_ELEMENTS = 16384 };  // of a job

typedef struct narrow_job {
    const tk_patch_embed_args *a;
    const tk_matmul_kernels *kernels;
} narrow_job;

static void narrow_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const narrow_job *p = arg;
    const int64_t total = p->a->m * p->a->k, begin = job * NARROW_ELEMENTS, left = total - begin;
    p->kernels->narrow(TK_PTR(const float, p->a->pixels) + begin, TK_PTR(uint16_t, p->a->workspace) + begin, left < NARROW_ELEMENTS ? left : NARROW_ELEMENTS);
}

int32_t tk_cpu_patch_embed(uint64_t ctx, tk_patch_embed_args *a, tk_error *err)
{
    TK_ENTER("patch_embed");
    TK_REQUIRE_DTYPE("patch_embed", a->dtype);
    TK_TRY(tk_check_product(err, "patch_embed", a->m, a->n, a->k));
    TK_TRY(tk_check_packed(err, "patch_embed", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "patch_embed", "pixels", a->pixels, a->m, a->k, a->k, 4));
    TK_TRY(tk_check_matrix(err, "patch_embed", "y", a->y, a->m, a->n, a->ldy, tk_dtype_bytes(a->dtype)));
    if (a->m == 0) return TK_OK;
    if (a->dtype == TK_BF16) {
        TK_TRY(tk_check_matrix(err, "patch_embed", "workspace", a->workspace, a->m, a->k, a->k, 2));
        narrow_job p = {.a = a, .kernels = cx->kernels->matmul};
        tk_pool_run(cx->pool, tk_ceil_div(a->m * a->k, NARROW_ELEMENTS), narrow_run, &p);
    }
    tk_matmul_args product = {
        .size = sizeof product,
        .dtype = a->dtype,
        .dtype_y = a->dtype,
        .x = a->dtype == TK_BF16 ? a->workspace : a->pixels,
        .w = a->w,
        .y = a->y,
        .m = a->m,
        .n = a->n,
        .k = a->k,
        .ldx = a->k,
        .ldy = a->ldy,
    };
    return tk_cpu_matmul(ctx, &product, err);
}
