// sample_filter.c - see sample_filter.h.
//
// What the filters can keep is bounded from below first: by the maxima of the chunks (or of their blocks, for large k) for top-k, by
// probability for top-p and min-p.
// When few enough columns are left they are gathered, sorted and cut. Else the cuts are found by histogram: columns are counted,
// or weighed, in 2048 buckets of the leading bits of z, and only the bucket in which the cut falls is looked at again: gathered and
// sorted when it is small, divided by the next bits of z else; after three rounds all bits are used, so a bucket is columns of
// one z. Blocks that lie below the bound are never read.
#include "sample_filter.h"

#include <string.h>

// The order of floats as integers, as the kernels make it.
static uint32_t order_of(float z)
{
    uint32_t u;
    z += 0.0f;
    memcpy(&u, &z, 4);
    return u >> 31 ? ~u : u | 0x80000000u;
}

static float float_of(uint32_t order)
{
    uint32_t u = order >> 31 ? order & 0x7fffffffu : ~order;
    float z;
    memcpy(&z, &u, 4);
    return z;
}

#define ORDER_OF_MINUS_INFINITY 0x007fffffu
#define ORDER_OF_INFINITY 0xff800000u

// sort_falling sorts n keys by their high words from the largest down; equal ones keep their places. The result is in a or b.
static const uint64_t *sort_falling(uint64_t *a, uint64_t *b, int64_t n)
{
    if (n <= 64) {
        for (int64_t i = 1; i < n; i++) {
            uint64_t x = a[i];
            int64_t j = i;
            for (; j > 0 && a[j - 1] >> 32 < x >> 32; j--) a[j] = a[j - 1];
            a[j] = x;
        }
        return a;
    }
    for (int shift = 32; shift < 64; shift += 8) {
        uint32_t at[256] = {0}, next = 0;
        for (int64_t i = 0; i < n; i++) at[a[i] >> shift & 255]++;
        if (at[a[0] >> shift & 255] == n) continue;
        for (int d = 255; d >= 0; d--) {
            uint32_t count = at[d];
            at[d] = next;
            next += count;
        }
        for (int64_t i = 0; i < n; i++) b[at[a[i] >> shift & 255]++] = a[i];
        uint64_t *t = a;
        a = b;
        b = t;
    }
    return a;
}

int64_t tk_filter_pick(const tk_vocab_kernels *k, const float *e, int64_t n, double target)
{
    int64_t block = 0, last = -1;
    double before = 0, sum = 0;
    for (int64_t b = 0; b < n; b += TK_VOCAB_BLOCK) {
        const double mass = k->sum(e + b, n - b < TK_VOCAB_BLOCK ? (n - b + 31) / 32 * 32 : TK_VOCAB_BLOCK);
        if (mass == 0) continue;
        block = b;
        before = sum;
        if ((sum += mass) > target) break;
    }
    sum = before;
    for (int64_t j = block; j < n && j < block + TK_VOCAB_BLOCK; j++) {
        if (e[j] == 0) continue;
        last = j;
        if ((sum += (double)e[j]) > target) break;
    }
    return last;
}

int64_t tk_filter_pick_chunk(const double *mass, int64_t chunks, double *target)
{
    int64_t last = 0;
    double sum = 0, before = 0;
    for (int64_t i = 0; i < chunks; i++) {
        if (mass[i] == 0) continue;
        last = i;
        before = sum;
        if ((sum += mass[i]) > *target) break;
    }
    *target -= before;
    return last;
}

static tk_vocab_chunk chunk_at(const tk_filter_row *r, int64_t i) { return tk_vocab_chunk_at(r->logits, r->ban, r->n, i, r->scale); }

static int64_t blocks_of(const tk_filter_row *r) { return (r->n + TK_VOCAB_BLOCK - 1) / TK_VOCAB_BLOCK; }

static void fetch_block(const tk_filter_row *r, int64_t block)
{
    for (int64_t j = 0; j < TK_VOCAB_BLOCK; j += 16) __builtin_prefetch(r->logits + block * TK_VOCAB_BLOCK + j);
}

// next_block is the next block that does not lie below from, on its way to the caches with those after it; -1 after the last.
static int64_t next_block(const tk_filter_row *r, float from)
{
    enum { AHEAD = 4 };
    tk_filter_scratch *s = r->scratch;
    tk_filter_near *near = &s->near;
    while (near->at == near->count) {
        const int64_t left = blocks_of(r) - near->listed, width = left < TK_VOCAB_CHUNK ? left : TK_VOCAB_CHUNK;
        if (left == 0) return -1;
        tk_vocab_chunk c = {.logits = r->most + near->listed, .width = width, .scale = 1};
        r->k->select(&c, 0, from, INFINITY, 0, s->bits, NULL, NULL, NULL);
        near->at = near->count = 0;
        for (int64_t g = 0; g * 32 < width; g++)
            for (uint32_t bits = s->bits[g]; bits; bits &= bits - 1)
                near->block[near->count++] = (int32_t)(near->listed + g * 32 + __builtin_ctz(bits));
        near->listed += width;
        for (int i = 0; i < AHEAD && i < near->count; i++) fetch_block(r, near->block[i]);
    }
    if (near->at + AHEAD < near->count) fetch_block(r, near->block[near->at + AHEAD]);
    return near->block[near->at++];
}

static int64_t first_block(const tk_filter_row *r, float from)
{
    tk_filter_near *near = &r->scratch->near;
    near->listed = near->at = near->count = 0;
    return next_block(r, from);
}

// select_block has the columns of a block with from <= z < to in the scratch's bits and z, and, if asked for, order and e. It returns the
// words of bits.
static int select_block(const tk_filter_row *r, int64_t block, float from, float to, uint32_t *order, float *e)
{
    tk_filter_scratch *s = r->scratch;
    const int64_t at = block * TK_VOCAB_BLOCK, width = r->n - at < TK_VOCAB_BLOCK ? r->n - at : TK_VOCAB_BLOCK;
    tk_vocab_chunk c = {.logits = r->logits + at, .ban = r->ban ? r->ban + at / 32 : NULL, .width = width, .scale = r->scale};
    r->k->select(&c, r->max, from, to, 0, s->bits, s->z, order, e);
    return (int)((width + 31) / 32);
}

// EACH_BLOCK does what follows for every block that does not lie below from.
#define EACH_BLOCK(block, r, from) for (int64_t block = first_block(r, from); block >= 0; block = next_block(r, from))

// ------------------------------------------------------------------------------------------------------- gathered columns

// gather collects the columns with from <= z < to in increasing order; -1 if they are more than can be.
static int64_t gather(const tk_filter_row *r, float from, float to)
{
    tk_filter_scratch *s = r->scratch;
    int64_t n = 0;
    EACH_BLOCK(i, r, from) {
        const int words = select_block(r, i, from, to, NULL, NULL);
        for (int g = 0; g < words; g++)
            for (uint32_t bits = s->bits[g]; bits; bits &= bits - 1, n++) {
                if (n == TK_FILTER_GATHERED) return -1;
                const int j = g * 32 + __builtin_ctz(bits);
                s->sorted[0][n] = (uint64_t)order_of(s->z[j]) << 32 | (uint64_t)n;
                s->edge_z[n] = s->z[j];
                s->id[n] = (int32_t)(i * TK_VOCAB_BLOCK + j);
            }
    }
    return n;
}

// weigh puts e^(z - max) of the n gathered columns into edge_e.
static void weigh(const tk_filter_row *r, int64_t n)
{
    tk_filter_scratch *s = r->scratch;
    for (int64_t at = 0; at < n; at += TK_VOCAB_CHUNK) {
        tk_vocab_chunk c = {.logits = s->edge_z + at, .width = n - at < TK_VOCAB_CHUNK ? n - at : TK_VOCAB_CHUNK, .scale = 1};
        r->k->select(&c, r->max, -INFINITY, INFINITY, 0, s->bits, NULL, NULL, s->edge_e + at);
    }
}

// draw_gathered draws from the n gathered columns, which hold all that the filters keep. total is the sum that top_p is a share of, or
// 0 for that of what top-k keeps.
static int64_t draw_gathered(const tk_filter_row *r, const tk_sample_row *p, int64_t n, double total, double u)
{
    tk_filter_scratch *s = r->scratch;
    float *e = s->edge_e;
    const int total_of_kept = total == 0;
    weigh(r, n);
    if (p->top_k > 0 || p->top_p < 1) {
        const uint64_t *sorted = sort_falling(s->sorted[0], s->sorted[1], n);
        int64_t keep = n;
        if (p->top_k > 0 && p->top_k < n)
            for (keep = p->top_k; keep < n && sorted[keep] >> 32 == sorted[keep - 1] >> 32; keep++) {}
        if (p->top_p < 1) {
            for (int64_t i = 0; total_of_kept && i < keep; i++) total += (double)e[(uint32_t)sorted[i]];
            double sum = 0, target = (double)p->top_p * total;
            for (int64_t i = 0; i < keep; i++)
                if ((sum += (double)e[(uint32_t)sorted[i]]) >= target) keep = i + 1;
        }
        for (int64_t i = keep; i < n; i++) e[(uint32_t)sorted[i]] = 0;
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (e[i] < p->min_p) e[i] = 0;
        sum += (double)e[i];
    }
    return s->id[tk_filter_pick(r->k, e, n, u * sum)];
}

// -------------------------------------------------------------------------------------------------------------- histograms

// A cut keeps the columns with a larger z than its own, and those of equal z up to its id.
typedef struct cut {
    float z;
    int64_t id;
} cut;

static inline void add_column(tk_filter_scratch *s, int j, int shift)
{
    tk_filter_bucket *b = &s->buckets[s->order[j] >> shift & (TK_FILTER_BUCKETS - 1)];
    b->count++;
    b->mass += (double)s->e[j];
}

// add_columns adds the selected columns of a block to their buckets.
static void add_columns(tk_filter_scratch *s, int words, int shift)
{
    for (int g = 0; g < words; g++) {
        uint32_t bits = s->bits[g];
        if (bits == ~0u)
            for (int j = 0; j < 32; j++) add_column(s, g * 32 + j, shift);
        else
            for (; bits; bits &= bits - 1) add_column(s, g * 32 + __builtin_ctz(bits), shift);
    }
}

// cut_gathered finds the cut among columns with from <= z < to that can be gathered; sum is what lies above them.
static cut cut_gathered(const tk_filter_row *r, float from, float to, int weighed, double sum, double target)
{
    tk_filter_scratch *s = r->scratch;
    int64_t n = gather(r, from, to);
    if (weighed) weigh(r, n);
    const uint64_t *sorted = sort_falling(s->sorted[0], s->sorted[1], n);
    for (int64_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)sorted[i];
        sum += weighed ? (double)s->edge_e[at] : 1;
        if (sum >= target) return (cut){float_of((uint32_t)(sorted[i] >> 32)), weighed ? s->id[at] : r->n};
    }
    return (cut){from, r->n};  // rounding: the range was known to reach the target
}

// cut_ties finds the cut among columns of one z; to is the next float.
static cut cut_ties(const tk_filter_row *r, float z, float to, int weighed, double sum, double target)
{
    tk_filter_scratch *s = r->scratch;
    if (!weighed) return (cut){z, r->n};
    EACH_BLOCK(i, r, z) {
        int words = select_block(r, i, z, to, NULL, s->e);
        for (int g = 0; g < words; g++)
            for (uint32_t bits = s->bits[g]; bits; bits &= bits - 1) {
                int j = g * 32 + __builtin_ctz(bits);
                sum += (double)s->e[j];
                if (sum >= target) return (cut){z, i * TK_VOCAB_BLOCK + j};
            }
    }
    return (cut){z, r->n};
}

// cut_row finds the column, from the largest z down, at which the count (weighed: the sum of e) of the columns with z >= lo reaches
// target (weighed: share of total, or of their own sum when total is 0).
static cut cut_row(const tk_filter_row *r, float lo, int weighed, double target, double share, double total)
{
    static const int shifts[] = {21, 10, 0};  // the last round's buckets repeat a bit of the second's
    tk_filter_scratch *s = r->scratch;
    float from = lo, to = INFINITY;
    uint32_t base = 0;
    double sum = 0;
    if (!weighed) memset(s->e, 0, sizeof s->e);
    for (int round = 0;; round++) {
        const int shift = shifts[round];
        memset(s->buckets, 0, sizeof s->buckets);
        EACH_BLOCK(i, r, from) add_columns(s, select_block(r, i, from, to, s->order, weighed ? s->e : NULL), shift);
        if (weighed && round == 0) {
            if (total == 0)
                for (int b = 0; b < TK_FILTER_BUCKETS; b++) total += s->buckets[b].mass;
            target = share * total;
        }
        int b = TK_FILTER_BUCKETS - 1;
        for (; b >= 0; b--) {
            double more = weighed ? s->buckets[b].mass : (double)s->buckets[b].count;
            if (s->buckets[b].count && sum + more >= target) break;
            sum += more;
        }
        if (b < 0) return (cut){from, r->n};  // rounding, as above
        base |= (uint32_t)b << shift;
        uint64_t end = (uint64_t)base + ((uint64_t)1 << shift);
        if (base > ORDER_OF_MINUS_INFINITY && float_of(base) > from) from = float_of(base);
        if (end <= ORDER_OF_INFINITY) to = float_of((uint32_t)end);
        if (s->buckets[b].count <= TK_FILTER_GATHERED) return cut_gathered(r, from, to, weighed, sum, target);
        if (round == 2) return cut_ties(r, from, to, weighed, sum, target);
    }
}

// kept puts e^(z - max) of the columns of chunk i that cut keeps, and that have at least `least` of it, into the scratch's e, and 0
// elsewhere up to a multiple of 32 columns, whose number it returns.
static int64_t kept(const tk_filter_row *r, int64_t i, cut cut, float least)
{
    tk_filter_scratch *s = r->scratch;
    tk_vocab_chunk c = chunk_at(r, i);
    int64_t next = cut.id + 1 - i * TK_VOCAB_CHUNK;  // from this column on, equals of the cut are out
    int none = next <= 0;
    r->k->select(&c, r->max, none ? nextafterf(cut.z, INFINITY) : cut.z, INFINITY, least, s->bits, s->z, NULL, s->e);
    for (int64_t j = next; !none && j < c.width; j++)
        if (s->e[j] > 0 && s->z[j] == cut.z) s->e[j] = 0;
    return (c.width + 31) / 32 * 32;
}

// draw_cut draws from the columns that cut and min_p keep.
static int64_t draw_cut(const tk_filter_row *r, cut cut, float min_p, float lo, double *mass, double u)
{
    double total = 0;
    for (int64_t i = 0; i < r->chunks; i++) {
        mass[i] = 0;
        if (!(r->states[i].m >= lo)) continue;
        total += mass[i] = r->k->sum(r->scratch->e, kept(r, i, cut, min_p));
    }
    double target = u * total;
    int64_t i = tk_filter_pick_chunk(mass, r->chunks, &target);
    int64_t width = kept(r, i, cut, min_p);
    return i * TK_VOCAB_CHUNK + tk_filter_pick(r->k, r->scratch->e, width, target);
}

// ------------------------------------------------------------------------------------------------------------------ bounds

// count_from is the number of columns with z >= lo.
static int64_t count_from(const tk_filter_row *r, float lo)
{
    tk_filter_scratch *s = r->scratch;
    int64_t count = 0;
    EACH_BLOCK(i, r, lo) {
        const int words = select_block(r, i, lo, INFINITY, NULL, NULL);
        for (int g = 0; g < words; g++) count += __builtin_popcount(s->bits[g]);
    }
    return count;
}

// bound_of is a bound that k of the n values are not below, and none or few of the others: the first found between two of them.
static float bound_of(const float *z, int64_t n, int64_t k)
{
    float least = z[0], most = z[0];
    for (int64_t i = 1; i < n; i++) {
        least = z[i] < least ? z[i] : least;
        most = z[i] > most ? z[i] : most;
    }
    uint32_t lo = order_of(least), hi = order_of(most) + 1;
    for (int32_t count = 0; hi - lo > 1 && count != k;) {
        const uint32_t middle = lo + (hi - lo) / 2;
        const float bound = float_of(middle);
        count = 0;
        for (int64_t i = 0; i < n; i++) count += z[i] >= bound;
        if (count >= k) lo = middle;
        else hi = middle;
    }
    return float_of(lo);
}

// bound_top_k is a bound that the k largest columns are not below, as high as the maxima of the chunks make it easy to find.
static float bound_top_k(const tk_filter_row *r, int64_t k)
{
    tk_filter_scratch *s = r->scratch;
    const int by_chunk = k <= r->chunks;
    int64_t n = by_chunk ? r->chunks : blocks_of(r);
    if (n > TK_FILTER_GATHERED) n = TK_FILTER_GATHERED;
    for (int64_t i = 0; i < n; i++) s->edge_z[i] = by_chunk ? r->states[i].m : r->most[i];
    float last = bound_of(s->edge_z, n, k < n ? k : n);
    if (k <= n) return last;  // k chunks, or blocks, have a column of at least that
    // More than one column a block: some steps below the smallest maximum, a step being the spread of the smaller ones.
    float step = bound_of(s->edge_z, n, n / 4 + 1) - last;
    for (float depth = 0.5f * step; depth > 0 && depth <= 8 * step && depth < INFINITY; depth *= 2)
        if (count_from(r, last - depth) >= k) return last - depth;
    return -INFINITY;
}

// below_max is max + difference less what rounding may have added.
static float below_max(float max, double difference)
{
    float x = max + (float)difference;
    return x - 1e-6f * (fabsf(max) + fabsf(x) + 1);
}

int64_t tk_filter_draw(const tk_filter_row *r, const tk_sample_row *p, int64_t left, double total, double *mass, double u)
{
    const int top_k = p->top_k > 0 && p->top_k < left;
    float lo = -INFINITY;
    if (top_k) {
        lo = bound_top_k(r, p->top_k);
        total = 0;
    } else if (p->top_p < 1) {
        // Columns that together cannot reach 1 - top_p are out: half of it shared by all, where it is more than rounding.
        double rest = 1 - (double)p->top_p;
        if (rest > 1e-5) lo = below_max(r->max, log(0.5 * rest * total / (double)left));
    } else {
        lo = below_max(r->max, log((double)p->min_p));
    }
    int64_t n = gather(r, lo, INFINITY);
    if (n >= 0) return draw_gathered(r, p, n, total, u);

    cut c = {lo, r->n};
    if (top_k) c = cut_row(r, c.z, 0, (double)p->top_k, 0, 0);
    if (p->top_p < 1) c = cut_row(r, c.z, 1, 0, (double)p->top_p, total);
    lo = c.z;
    if (p->min_p > 0) {  // kept decides exactly
        float least = below_max(r->max, log((double)p->min_p));
        if (least > lo) lo = least;
    }
    return draw_cut(r, c, p->min_p, lo, mass, u);
}
