// matmul_backward.c - the gradients of y = x W^T + bias: arguments, and blocks shared out over the pool.
//
//     matmul_dx   dx [m, k]  = dy [m, n] W [n, k]
//     matmul_dw   dw [n, k] += dy^T [n, m] x [m, k],  db [n] += the sums of dy's columns
//
// A job is a group of the output's panels by some of its rows. Every job lays out its own operands in the scratch of the thread that does it,
// so that jobs need not wait for one another. Of dx a job turns its columns of W, which costs the less the more rows it has; of dw its
// rows' dy, which costs the less the more columns it has. So that is what is cut last where there are many threads.
//
// Floor: 2 m n k FLOP each, at the f32 FMA peak.
#include "matmul_backward.h"

enum {
    TILE_ROWS = 12,           // rows of gemm's largest tile: blocks are cut between tiles
    POOL_PRODUCTS = 1 << 19,  // products below which waking the pool costs more than it saves
};

tk_cut tk_cut_output(int64_t rows, int64_t cols, int64_t tile, int least, int threads)
{
    int panels = TK_BACKWARD_PANELS;
    while (panels > least && tk_ceil_div(cols, panels * TK_PANEL) < 4 * threads) panels /= 2;
    tk_cut c = {.rows = rows, .cols = cols, .tile = tile, .tiles = tk_ceil_div(rows, tile), .width = panels * TK_PANEL, .blocks = 1};
    c.groups = tk_ceil_div(cols, c.width);
    while (c.blocks < c.tiles && c.blocks * c.groups < 4 * threads) c.blocks++;
    return c;
}

tk_part tk_cut_part(const tk_cut *c, int64_t job)
{
    const int64_t block = job % c->blocks, col = job / c->blocks * c->width;
    const int64_t row = block * c->tiles / c->blocks * c->tile, end = (block + 1) * c->tiles / c->blocks * c->tile;
    return (tk_part){.row = row,
                     .rows = (end < c->rows ? end : c->rows) - row,
                     .col = col,
                     .cols = c->cols - col < c->width ? c->cols - col : c->width};
}

uint64_t tk_backward_scratch(int threads) { return TK_ALIGN + (uint64_t)threads * TK_BACKWARD_SCRATCH * 4; }

float *tk_backward_scratch_of(uint64_t workspace, int thread)
{
    return TK_PTR(float, (workspace + TK_ALIGN - 1) / TK_ALIGN * TK_ALIGN) + (int64_t)thread * TK_BACKWARD_SCRATCH;
}

typedef struct backward_job {
    const tk_matmul_backward_kernels *kernels;
    tk_cut cut;
    const tk_matmul_dx_args *dx;
    const tk_matmul_dw_args *dw;
} backward_job;

static void dx_run(void *arg, int64_t job, int thread)
{
    const backward_job *r = arg;
    const tk_matmul_dx_args *a = r->dx;
    const tk_part p = tk_cut_part(&r->cut, job);
    tk_dx_block b = {
        .dtype = a->dtype,
        .m = p.rows,
        .n = a->n,
        .cols = p.cols,
        .dy = TK_PTR(const float, a->dy) + p.row * a->lddy,
        .w = TK_PTR(const uint32_t, a->w) + tk_panel_lanes(a->dtype, p.col),
        .lanes = tk_panel_lanes(a->dtype, a->k),
        .dx = TK_PTR(float, a->dx) + p.row * a->lddx + p.col,
        .lddy = a->lddy,
        .lddx = a->lddx,
        .scratch = tk_backward_scratch_of(a->workspace, thread),
    };
    r->kernels->dx(&b);
}

static void dw_run(void *arg, int64_t job, int thread)
{
    const backward_job *r = arg;
    const tk_matmul_dw_args *a = r->dw;
    const tk_part p = tk_cut_part(&r->cut, job);
    tk_dw_block b = {
        .dtype = a->dtype,
        .m = a->m,
        .n = p.rows,
        .cols = p.cols,
        .dy = TK_PTR(const float, a->dy) + p.row,
        .x = TK_PTR(const char, a->x) + p.col * tk_dtype_bytes(a->dtype),
        .dw = TK_PTR(float, a->dw) + p.row * a->lddw + p.col,
        .db = a->db && p.col == 0 ? TK_PTR(float, a->db) + p.row : NULL,
        .lddy = a->lddy,
        .ldx = a->ldx,
        .lddw = a->lddw,
        .scratch = tk_backward_scratch_of(a->workspace, thread),
    };
    r->kernels->dw(&b);
}

// The threads that a product of these sizes is worth.
static int threads_for(const tk_context *cx, int64_t m, int64_t n, int64_t k)
{
    return m * n < POOL_PRODUCTS / k ? 1 : tk_pool_threads(cx->pool);
}

static void run_cut(tk_context *cx, int threads, tk_job fn, backward_job *r)
{
    const int64_t jobs = tk_cut_jobs(&r->cut);
    if (threads > 1) tk_pool_run(cx->pool, jobs, fn, r);
    else
        for (int64_t job = 0; job < jobs; job++) fn(r, job, 0);
}

static int32_t check_workspace(tk_error *err, const char *op, tk_context *cx, uint64_t workspace, uint64_t bytes)
{
    const uint64_t need = tk_backward_scratch(tk_pool_threads(cx->pool));
    TK_REQUIRE(workspace && bytes >= need, "%s: workspace has %llu bytes, needs %llu", op, (unsigned long long)(workspace ? bytes : 0),
               (unsigned long long)need);
    return TK_OK;
}

int32_t tk_cpu_matmul_dx(uint64_t ctx, tk_matmul_dx_args *a, tk_error *err)
{
    TK_ENTER("matmul_dx");
    TK_REQUIRE_DTYPE("matmul_dx", a->dtype);
    TK_TRY(tk_check_product(err, "matmul_dx", a->m, a->n, a->k));
    TK_TRY(tk_check_packed(err, "matmul_dx", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "matmul_dx", "dy", a->dy, a->m, a->n, a->lddy, 4));
    TK_TRY(tk_check_matrix(err, "matmul_dx", "dx", a->dx, a->m, a->k, a->lddx, 4));
    if (a->m == 0) return TK_OK;
    TK_TRY(check_workspace(err, "matmul_dx", cx, a->workspace, a->workspace_bytes));
    const int threads = threads_for(cx, a->m, a->n, a->k);
    backward_job r = {
        .kernels = cx->kernels->matmul_backward,
        .cut = tk_cut_output(a->m, a->k, TILE_ROWS, TK_BACKWARD_PANELS / 2, threads),
        .dx = a,
    };
    run_cut(cx, threads, dx_run, &r);
    return TK_OK;
}

int32_t tk_cpu_matmul_dw(uint64_t ctx, tk_matmul_dw_args *a, tk_error *err)
{
    TK_ENTER("matmul_dw");
    TK_REQUIRE_DTYPE("matmul_dw", a->dtype);
    TK_TRY(tk_check_product(err, "matmul_dw", a->m, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "matmul_dw", "dy", a->dy, a->m, a->n, a->lddy, 4));
    TK_TRY(tk_check_matrix(err, "matmul_dw", "x", a->x, a->m, a->k, a->ldx, tk_dtype_bytes(a->dtype)));
    TK_TRY(tk_check_matrix(err, "matmul_dw", "dw", a->dw, a->n, a->k, a->lddw, 4));
    if (a->db) TK_TRY(tk_check_vector(err, "matmul_dw", "db", a->db, a->n, 4));
    if (a->m == 0) return TK_OK;
    TK_TRY(check_workspace(err, "matmul_dw", cx, a->workspace, a->workspace_bytes));
    const int threads = threads_for(cx, a->m, a->n, a->k);
    backward_job r = {
        .kernels = cx->kernels->matmul_backward,
        .cut = tk_cut_output(a->n, a->k, TK_BACKWARD_ROWS, TK_BACKWARD_PANELS, threads),
        .dw = a,
    };
    run_cut(cx, threads, dw_run, &r);
    return TK_OK;
}

int32_t tk_cpu_matmul_backward_workspace(uint64_t ctx, tk_matmul_backward_workspace_args *a, tk_error *err)
{
    TK_ENTER("matmul_backward_workspace");
    TK_REQUIRE_DTYPE("matmul_backward_workspace", a->dtype);
    TK_TRY(tk_check_product(err, "matmul_backward_workspace", a->m, a->n, a->k));
    a->bytes = tk_backward_scratch(tk_pool_threads(cx->pool));
    return TK_OK;
}
