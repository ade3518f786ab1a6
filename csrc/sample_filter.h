// sample_filter.h - the draw from what top-k, top-p and min-p leave of one row.
#ifndef TK_SAMPLE_FILTER_H
#define TK_SAMPLE_FILTER_H

#include "logsumexp.h"

enum {
    TK_FILTER_BUCKETS = 2048,
    TK_FILTER_GATHERED = 8 * TK_VOCAB_CHUNK,  // most columns that are gathered and sorted
};

typedef struct tk_filter_bucket {
    double mass;
    int64_t count;
} tk_filter_bucket;

// Blocks that may hold what is looked for: a list of those among the first `listed`, of which `at` are done.
typedef struct tk_filter_near {
    int64_t listed;
    int count, at;
    int32_t block[TK_VOCAB_CHUNK];
} tk_filter_near;

typedef struct tk_filter_scratch {
    tk_filter_near near;
    float z[TK_VOCAB_CHUNK], e[TK_VOCAB_CHUNK];
    uint32_t order[TK_VOCAB_CHUNK], bits[TK_VOCAB_WORDS];
    tk_filter_bucket buckets[TK_FILTER_BUCKETS];
    uint64_t sorted[2][TK_FILTER_GATHERED];  // order of z, high; index into edge_z, edge_e and id, low
    float edge_z[TK_FILTER_GATHERED], edge_e[TK_FILTER_GATHERED];
    int32_t id[TK_FILTER_GATHERED];
} tk_filter_scratch;

// A row of logits after its fold.
typedef struct tk_filter_row {
    const tk_vocab_kernels *k;
    const float *logits;
    const uint32_t *ban;
    int64_t n, chunks;
    float scale, max;              // z = scale * logits; the largest
    const tk_vocab_state *states;  // of its chunks
    const float *most;             // of z in its blocks
    tk_filter_scratch *scratch;
} tk_filter_row;

// tk_filter_pick is the column at which the running sum of e passes target, in increasing order; the last with e > 0 if rounding keeps
// it from that. e is 0 from n up to a multiple of 32.
int64_t tk_filter_pick(const tk_vocab_kernels *k, const float *e, int64_t n, double target);

// tk_filter_pick_chunk is the chunk in whose mass target falls; *target becomes what is left of it in there.
int64_t tk_filter_pick_chunk(const double *mass, int64_t chunks, double *target);

// tk_filter_draw draws from what the filters of p leave of the row by the variate u. left is the number of columns that are not
// banned, total the sum of e^(z - max) over them; mass has room for the chunks.
int64_t tk_filter_draw(const tk_filter_row *r, const tk_sample_row *p, int64_t left, double total, double *mass, double u);

#endif
