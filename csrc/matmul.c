// matmul.c - y = x W^T: arguments, and blocks shared out over the pool.
//
// A job is a block of at most TK_MATMUL_ROWS rows by TK_MATMUL_PANELS panels, smaller where there are many threads, and the last
// quarter of the panels goes out in small groups, so that no thread waits long for the last block. Row blocks of one group of panels are
// consecutive jobs: its weights come from memory once. Where the ISA wants rows laid out, blocks are larger, and rows are done in passes of
// as many as are laid out at a time. If not too few fit into L2, a pass is of so many, and goes by two panels, which is what a product takes
// at a time: more of them with their sums would displace the rows.
#include "packed.h"
#include "stage.h"

enum {
    TILE_ROWS = 12,               // rows of the largest tile: blocks are cut between tiles
    POOL_PRODUCTS = 1 << 19,      // products below which waking the pool costs more than it saves
    RESIDENT_BYTES = 1100 << 10,  // of rows that stay in L2 while all weights pass over them,
    RESIDENT_ROWS = 160,          // how many of them are enough for weights that come from memory once a pass,
    RESIDENT_PANELS = 2,          // and the panels of a job
    PAST_BYTES = 128 << 10,       // of y, and
    PAST_WEIGHTS = 2 << 20,       // of w: where so much comes through L2, y has left it again before anybody reads it
};

typedef struct matmul_job {
    const tk_matmul_args *a;
    const tk_context *cx;
    int threads, staged, resident, past;
    int64_t row0, rows;              // of the pass
    int64_t tile, most;              // rows that a cut between blocks is a multiple of; tiles of a block at most
    int64_t panels, tiles;           // of y
    int64_t blocks;                  // row blocks
    int64_t large, group, subgroup;  // the first `large` panels go in groups of `group`, the others of `subgroup`
} matmul_job;

static void matmul_plan(matmul_job *p)
{
    const int threads = p->threads;
    p->group = p->resident ? RESIDENT_PANELS : p->staged ? TK_STAGED_PANELS : TK_MATMUL_PANELS;
    if (p->rows <= 48 && !p->resident) p->group /= 2;  // few rows stage fast, and then a small working set pays
    if (p->a->dtype == TK_F32) p->group /= 2;  // its panels take twice the room in L2
    while (p->group > 1 && p->panels < 4 * threads * p->group) p->group /= 2;
    p->subgroup = p->resident ? p->group : p->group >= 4 ? p->group / 4 : 1;
    p->large = threads == 1 ? p->panels : p->panels * 3 / 4 / p->group * p->group;
    p->blocks = tk_ceil_div(p->tiles, p->most);
    while (p->blocks < p->tiles && p->blocks * tk_ceil_div(p->panels, p->group) < 4 * threads) p->blocks++;
}

static int64_t matmul_jobs(const matmul_job *p)
{
    return p->blocks * (tk_ceil_div(p->large, p->group) + tk_ceil_div(p->panels - p->large, p->subgroup));
}

// The first panel of a job's group; beyond the last job, that of the last.
static int64_t matmul_panel(const matmul_job *p, int64_t job)
{
    const int64_t groups = tk_ceil_div(p->large, p->group), last = matmul_jobs(p) - 1, g = (job < last ? job : last) / p->blocks;
    return g < groups ? g * p->group : p->large + (g - groups) * p->subgroup;
}

static void matmul_run(void *arg, int64_t job, int thread)
{
    const matmul_job *p = arg;
    const tk_matmul_args *a = p->a;
    const int64_t block = job % p->blocks, panel = matmul_panel(p, job), width = panel < p->large ? p->group : p->subgroup;
    const int64_t panel_end = panel + width < p->panels ? panel + width : p->panels;
    const int64_t row = block * p->tiles / p->blocks * p->tile, row_end = (block + 1) * p->tiles / p->blocks * p->tile;
    const tk_staged staged = tk_stage_from(p->cx, p->rows, row, thread);
    const int64_t col = panel * TK_PANEL, col_end = panel_end * TK_PANEL < a->n ? panel_end * TK_PANEL : a->n;
    const int64_t bytes = tk_dtype_bytes(a->dtype), bytes_y = tk_dtype_bytes(a->dtype_y), lanes = tk_panel_lanes(a->dtype, a->k);
    tk_matmul_block b = {
        .dtype = a->dtype,
        .dtype_y = a->dtype_y,
        .m = (row_end < p->rows ? row_end : p->rows) - row,
        .n = col_end - col,
        .k = a->k,
        .x = TK_PTR(char, a->x) + (p->row0 + row) * a->ldx * bytes,
        .staged = p->staged ? &staged : NULL,
        .w = TK_PTR(uint32_t, a->w) + panel * lanes,
        .after = TK_PTR(uint32_t, a->w) + matmul_panel(p, job + p->threads) * lanes,
        .bias = a->bias ? TK_PTR(float, a->bias) + col : NULL,
        .residual = a->residual ? TK_PTR(char, a->residual) + ((p->row0 + row) * a->ldr + col) * bytes_y : NULL,
        .y = TK_PTR(char, a->y) + ((p->row0 + row) * a->ldy + col) * bytes_y,
        .ldx = a->ldx,
        .ldr = a->ldr,
        .ldy = a->ldy,
        .past = p->past,
    };
    p->cx->kernels->matmul->block(&b);
}

// resident_rows is how many of m rows a pass has that stay in L2, as evenly as they come; 0 where those would be few, or where the product goes
// over the weights once anyhow.
static int64_t resident_rows(int64_t m, int64_t k)
{
    enum { TILE = 2 * TK_STAGED_TILE, MOST = TK_STAGED_ROWS * TK_STAGED_PANELS / RESIDENT_PANELS };
    int64_t most = RESIDENT_BYTES / (2 * k) / TILE * TILE;
    if (m <= TILE || (most < m && most < RESIDENT_ROWS)) return 0;
    most = most < MOST ? most : MOST;
    return tk_ceil_div(tk_ceil_div(m, TILE), tk_ceil_div(m, most)) * TILE;
}

// Whether y may bypass the caches: it would not stay there, nothing of it is read here, and its rows are whole lines of whole panels.
static int matmul_past(const tk_matmul_args *a)
{
    const int64_t bytes = tk_dtype_bytes(a->dtype_y);
    return !a->residual && a->m * a->n * bytes >= PAST_BYTES && a->n * a->k * tk_dtype_bytes(a->dtype) >= PAST_WEIGHTS && a->n % TK_PANEL == 0
           && a->ldy * bytes % TK_ALIGN == 0 && a->y % TK_ALIGN == 0;
}

int32_t tk_cpu_matmul(uint64_t ctx, tk_matmul_args *a, tk_error *err)
{
    TK_ENTER("matmul");
    TK_REQUIRE_DTYPE("matmul", a->dtype);
    TK_REQUIRE(a->dtype_y == a->dtype || a->dtype_y == TK_F32, "matmul: dtype_y is %u, neither dtype (%u) nor f32", a->dtype_y, a->dtype);
    TK_TRY(tk_check_product(err, "matmul", a->m, a->n, a->k));
    TK_TRY(tk_check_packed(err, "matmul", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "matmul", "x", a->x, a->m, a->k, a->ldx, tk_dtype_bytes(a->dtype)));
    TK_TRY(tk_check_matrix(err, "matmul", "y", a->y, a->m, a->n, a->ldy, tk_dtype_bytes(a->dtype_y)));
    if (a->bias) TK_TRY(tk_check_vector(err, "matmul", "bias", a->bias, a->n, 4));
    if (a->residual) TK_TRY(tk_check_matrix(err, "matmul", "residual", a->residual, a->m, a->n, a->ldr, tk_dtype_bytes(a->dtype_y)));
    if (a->m == 0) return TK_OK;
    int64_t pass = tk_stage_rows(cx, a->dtype, a->k), resident = pass ? resident_rows(a->m, a->k) : 0;
    if (resident) pass = resident;
    matmul_job p = {
        .a = a,
        .cx = cx,
        .threads = a->m * a->n < POOL_PRODUCTS / a->k ? 1 : tk_pool_threads(cx->pool),
        .staged = pass > 0,
        .resident = resident > 0,
        .past = pass && matmul_past(a),
        .tile = pass ? 2 * TK_STAGED_TILE : TILE_ROWS,
        .panels = tk_ceil_div(a->n, TK_PANEL),
    };
    p.most = (resident ? resident : pass ? TK_STAGED_ROWS : TK_MATMUL_ROWS) / p.tile;
    for (; p.row0 < a->m; p.row0 += p.rows) {
        p.rows = pass && a->m - p.row0 > pass ? pass : a->m - p.row0;
        p.tiles = tk_ceil_div(p.rows, p.tile);
        matmul_plan(&p);
        if (pass) tk_stage(cx, p.threads, p.rows, a->k, TK_PTR(const uint16_t, a->x) + p.row0 * a->ldx, a->ldx);
        if (p.threads > 1) tk_pool_run(cx->pool, matmul_jobs(&p), matmul_run, &p);
        else
            for (int64_t job = 0; job < matmul_jobs(&p); job++) matmul_run(&p, job, 0);
    }
    return TK_OK;
}
