// embed.c - rows of a packed weight by id.
//
// A row is one lane of every k step of its panel: the floor is a line of 64 bytes a k step and row at the read bandwidth. A page holds
// 32 steps and no hardware prefetcher looks further, so lines are fetched here, EMBED_AHEAD steps ahead: into L2, since L1 has few sets
// for a stride of two lines. A prefetcher that does follow the row fetches the lines between, too, which hold the panel's other half. So rows
// of one panel are taken one after the other: what one leaves in L2, others need, and tokens repeat.
#include "packed.h"

enum {
    EMBED_STEPS = 1024,  // of a job: a piece of rows of one panel, or several rows
    EMBED_AHEAD = 64,
    EMBED_BLOCK = 32,    // steps that all rows of a panel do before the next
    EMBED_ROWS = 16,     // the most of a job
    EMBED_BATCH = 2048,  // rows that are sorted at once
};

typedef struct embed_job {
    const tk_embed_args *a;
    int64_t pieces;                  // of a row
    int64_t row;                     // the batch's first
    uint64_t order[EMBED_BATCH];     // panel, high, and row of the batch, low
    int32_t begin[EMBED_BATCH + 1];  // of each run of rows in order; a job does one piece of a run
} embed_job;

// sort_rows orders n keys by their high halves, of which none is above most (Knuth, The Art of Computer Programming, 5.2.5, algorithm R).
static void sort_rows(uint64_t *keys, int64_t n, int64_t most)
{
    uint64_t other[EMBED_BATCH], *from = keys, *to = other;
    for (int shift = 32; most > 0; shift += 8, most >>= 8) {
        int32_t place[257] = {0};
        for (int64_t i = 0; i < n; i++) place[(from[i] >> shift & 255) + 1]++;
        for (int d = 0; d < 256; d++) place[d + 1] += place[d];
        for (int64_t i = 0; i < n; i++) to[place[from[i] >> shift & 255]++] = from[i];
        uint64_t *next = from;
        from = to, to = next;
    }
    if (from != keys) memcpy(keys, from, (size_t)n * sizeof *keys);
}

// plan sorts the n rows of a batch and returns the number of runs: rows of one panel, EMBED_ROWS at most; short ones together.
static int64_t plan(embed_job *p, int64_t n)
{
    const int32_t *ids = TK_PTR(const int32_t, p->a->ids);
    const int64_t steps = tk_ksteps(p->a->dtype, p->a->k);
    for (int64_t i = 0; i < n; i++) p->order[i] = (uint64_t)(ids[p->row + i] / TK_PANEL) << 32 | (uint64_t)i;
    if (n > 1) sort_rows(p->order, n, (p->a->n - 1) / TK_PANEL);
    int64_t runs = 0, from = 0;
    for (int64_t i = 0; i < n; i++) {
        const int other = i > 0 && p->order[i] >> 32 != p->order[i - 1] >> 32;
        if (i == 0 || i - from == EMBED_ROWS || (other && (i - from) * steps >= EMBED_STEPS)) p->begin[runs++] = (int32_t)i, from = i;
    }
    p->begin[runs] = (int32_t)n;
    return runs;
}

// Steps begin .. end of row i; `ahead`: those further on are fetched.
static inline void embed_steps(const embed_job *p, int64_t i, int64_t begin, int64_t end, int ahead)
{
    const tk_embed_args *a = p->a;
    const int64_t row = p->row + (uint32_t)p->order[i], id = TK_PTR(const int32_t, a->ids)[row];
    const uint32_t *lane = TK_PTR(const uint32_t, a->w) + id / TK_PANEL * tk_panel_lanes(a->dtype, a->k) + id % TK_PANEL;
    char *y = TK_PTR(char, a->y) + row * a->ldy * tk_dtype_bytes(a->dtype);
    const int64_t whole = a->dtype == TK_BF16 && 2 * end > a->k ? end - 1 : end;  // steps whose lane is all of the row's
    for (int64_t s = begin; s < whole; s++) {
        if (ahead) __builtin_prefetch((const void *)((uintptr_t)(lane + s * TK_PANEL) + EMBED_AHEAD * TK_PANEL * 4), 0, 2);
        memcpy(y + 4 * s, lane + s * TK_PANEL, 4);
    }
    if (whole < end) {
        uint16_t last = (uint16_t)lane[whole * TK_PANEL];
        memcpy(y + 4 * whole, &last, 2);
    }
}

// Steps begin .. end of rows row .. row_end, some at a time of all rows of a panel: while the others copy what the first has brought, more
// comes.
static void embed_rows(const embed_job *p, int64_t row, int64_t row_end, int64_t begin, int64_t end)
{
    for (int64_t next; row < row_end; row = next) {
        for (next = row + 1; next < row_end && p->order[next] >> 32 == p->order[row] >> 32;) next++;
        for (int64_t s = begin; s < end; s += EMBED_BLOCK) {
            const int64_t s1 = s + EMBED_BLOCK < end ? s + EMBED_BLOCK : end;
            embed_steps(p, row, s, s1, 1);
            for (int64_t i = row + 1; i < next; i++) embed_steps(p, i, s, s1, 0);
        }
    }
}

static void embed_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    const embed_job *p = arg;
    const int64_t steps = tk_ksteps(p->a->dtype, p->a->k), run = job / p->pieces, begin = job % p->pieces * EMBED_STEPS;
    const int64_t end = begin + EMBED_STEPS < steps ? begin + EMBED_STEPS : steps;
    embed_rows(p, p->begin[run], p->begin[run + 1], begin, end);
}

int32_t tk_cpu_embed(uint64_t ctx, tk_embed_args *a, tk_error *err)
{
    TK_ENTER("embed");
    TK_REQUIRE_DTYPE("embed", a->dtype);
    TK_TRY(tk_check_product(err, "embed", a->m, a->n, a->k));
    TK_TRY(tk_check_packed(err, "embed", "w", a->w, a->dtype, a->n, a->k));
    TK_TRY(tk_check_matrix(err, "embed", "y", a->y, a->m, a->k, a->ldy, tk_dtype_bytes(a->dtype)));
    if (a->m == 0) return TK_OK;
    TK_TRY(tk_check_vector(err, "embed", "ids", a->ids, a->m, 4));
    TK_TRY(tk_check_ids(err, "embed", "ids", TK_PTR(const int32_t, a->ids), a->m, a->n));
    embed_job p;
    p.a = a, p.pieces = tk_ceil_div(tk_ksteps(a->dtype, a->k), EMBED_STEPS);
    for (p.row = 0; p.row < a->m; p.row += EMBED_BATCH) {
        const int64_t n = a->m - p.row < EMBED_BATCH ? a->m - p.row : EMBED_BATCH;
        tk_pool_run(cx->pool, plan(&p, n) * p.pieces, embed_run, &p);
    }
    return TK_OK;
}
