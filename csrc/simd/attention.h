// attention.h - attention, for one ISA.
#include "attention_chunk.h"
#include "kv_tile.h"

enum { past_f32 = PAST_RESULTS, past_bf16 = 0 };

static const tk_attention_kernels TK_SIMD(attention_kernels) = {
#define ATTN_OPS(T)                                                                                                        \
    {                                                                                                                      \
        .query = TK_SIMD(attention_query_##T), .chunk = TK_SIMD(attention_chunk_##T), .merge = TK_SIMD(attention_merge),    \
        .store = TK_SIMD(attention_store_##T), .pack = TK_SIMD(attention_pack_##T), .write = TK_SIMD(attention_write_##T),   \
        .written = TK_SIMD(attention_written), .past = past_##T, .kv_heads_ahead = TK_ISA_LEVEL >= 3 ? 2 : 1,                                                           \
    }
    .f32 = ATTN_OPS(f32),
    .bf16 = ATTN_OPS(bf16),
#undef ATTN_OPS
};
