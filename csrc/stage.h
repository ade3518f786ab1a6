// stage.h - rows laid out for an ISA whose product does not take them where they lie.
#ifndef TK_STAGE_H
#define TK_STAGE_H

#include "context.h"

// tk_stage_open gives a context the memory that its ISA's product asks for; tk_stage_close takes it back.
int32_t tk_stage_open(tk_context *cx, tk_error *err);
void tk_stage_close(tk_context *cx);

// tk_stage_rows is how many rows of k elements can be laid out at a time, a multiple of two tiles; 0 where the product takes them as they are.
int64_t tk_stage_rows(const tk_context *cx, uint32_t dtype, int64_t k);

// tk_stage lays out x [m, k], m at most tk_stage_rows, until the next call.
void tk_stage(tk_context *cx, int threads, int64_t m, int64_t k, const void *x, int64_t ldx);

// tk_stage_from is what tk_stage has laid out of m rows, from row on (a multiple of two tiles), for `thread` to multiply.
tk_staged tk_stage_from(const tk_context *cx, int64_t m, int64_t row, int thread);

#endif
