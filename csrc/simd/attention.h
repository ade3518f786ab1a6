// attention.h - attention, for one ISA.
#include "attention_chunk.h"
#include "kv_tile.h"

enum { past_f32 = PAST_RESULTS, past_bf16 = 0 };
#if TK_TILES
enum { run_f32 = 1, run_bf16 = ATTN_RUN };
#else
enum { run_f32 = 1, run_bf16 = 1 };
#endif

static const tk_attention_kernels TK_SIMD(attention_kernels) = {
#define ATTN_OPS(T)                                                                                                        \
    {                                                                                                                      \
        .query = TK_SIMD(attention_query_##T), .walk = TK_SIMD(attention_walk_##T), .close = TK_SIMD(attention_close_##T),  \
        .merge = TK_SIMD(attention_merge_##T), .run = run_##T,                                                               \
        .store = TK_SIMD(attention_store_##T), .pack = TK_SIMD(attention_pack_##T), .write = TK_SIMD(attention_write_##T),   \
        .written = TK_SIMD(attention_written), .past = past_##T, .kv_heads_ahead = TK_ISA_LEVEL >= 3 ? 2 : 1,                                                           \
    }
    .f32 = ATTN_OPS(f32),
    .bf16 = ATTN_OPS(bf16),
#undef ATTN_OPS
};
