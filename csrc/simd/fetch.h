// fetch.h - prefetching while tiles compute, at the pace of the computation.
#ifndef TK_SIMD_FETCH_H
#define TK_SIMD_FETCH_H

#include "vec.h"

// fetch_some asks for the next lines of what a tile is to fetch, as many as go with `work` lanes multiplied.
TK_INLINE void fetch_some(tk_fetches *f, long work)
{
    if (!f || !f->count) return;
    tk_fetch *r = &f->region[f->count - 1];
    for (long n = (f->burst * work + TK_FETCH_WORK - 1) / TK_FETCH_WORK; n > 0; n--) {
        __builtin_prefetch(r->row + 64 * r->line, 0, 2);
        if (++r->line < r->lines) continue;
        r->line = 0;
        r->row += r->stride;
        if (--r->rows > 0) continue;
        if (--f->count == 0) return;
        r--;
    }
}

#endif
