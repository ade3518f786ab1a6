// thinker.h - the C ABI of Thinker's kernel back-ends (cpu, and later cuda and cudahost).
//
// One exported symbol, tk_get_api(version), returns a table of functions. Every entry has the same shape,
//
//     int32_t f(uint64_t ctx, <args struct>*, tk_error*)
//
// takes one plain-data struct (fixed-width fields, no pointers, addresses as uint64_t, a leading size for versioning), returns
// a TK_* status and, when that is not TK_OK, writes code and message into the caller's tk_error. Nothing aborts, prints, or
// keeps thread-local state. No op allocates device memory: outputs and workspaces belong to the caller. A context serves one
// call at a time; several contexts may be used side by side.
//
// Growth: a new function is appended to tk_api, a new field to the end of its struct; nothing is ever moved. A callee reads no
// further than the size that the caller states, a caller calls nothing beyond tk_api.size. The backward ops follow the forward
// ops in the table; what they need from the forward pass (rstd, lse) is an optional output here already.
//
// Numbers
//   dtype      TK_F32 or TK_BF16 is an op's storage type; arithmetic and accumulation are f32 in both. bf16 results are rounded
//              once, to nearest; of two equally near to even, but where f32 values have been rounded several times (swiglu, gelu,
//              rmsnorm, rope, attention's p), to either.
//   lanes      Packed operands are arrays of 32-bit lanes: one f32, or two consecutive bf16 (k even in the low half). A "k step"
//              is one lane deep: 1 element of K in f32, 2 in bf16.
//   order      Every output element is one accumulator per k step in increasing k, starting at +0, in every kernel and for every
//              number of rows. (bf16: the two products of a lane are added by the back-end's dot instruction, or as two FMAs,
//              even first; which one is a property of the back-end and ISA, the same for all shapes.) So a row's result does not
//              depend on the other rows, on the blocking, or on the number of threads.
//   attention  Keys are reduced in chunks of TK_CHUNK keys at absolute positions of their sequence. Within a chunk: scores
//              s = scale * (q.k) with the order above; m = max s; p = exp(s - m); l = sum p in a fixed order; o = p.v with the
//              order above (bf16: p rounded to bf16 for the product, not for l). Chunk states (m, l, o) are merged left to right:
//              m' = max(m, m_c), o' = o e^(m-m') + o_c e^(m_c-m'), l likewise. A chunk in which a row sees no key does not touch
//              that row's state. An ISA may take runs of several chunks for one, and an m that is not the maximum but near it (bf16 on
//              tiles: simd/attention_walk_tile.h). Every attention op keeps this grid, so varlen, paged, shared-prefix and decode give
//              equal bits.
//   vocabulary The log-sum-exp over the vocabulary is folded in chunks of TK_VOCAB_CHUNK columns at absolute columns; the chunks' states
//              are added left to right in double, under the row's largest maximum, in logprob and sample alike.
#ifndef THINKER_H
#define THINKER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TK_ABI_VERSION 1u

enum {
    TK_OK = 0,
    TK_INVALID = 1,        // an argument is wrong; the message names it and its value
    TK_OUT_OF_MEMORY = 2,
    TK_UNSUPPORTED = 3,    // this back-end or machine cannot do it
    TK_INTERNAL = 4,
};

enum { TK_F32 = 1, TK_BF16 = 2 };  // dtypes

enum {                 // instruction sets of the cpu back-end
    TK_ISA_AUTO = 0,   // the fastest on the machine: the last of these that it has, but on Intel's AVX512 before AVX512_BF16
    TK_ISA_SCALAR = 1,
    TK_ISA_AVX2 = 2,          // AVX2 + FMA
    TK_ISA_AVX512 = 3,        // F, BW, DQ, VL
    TK_ISA_AVX512_BF16 = 4,   // the same + vdpbf16ps
    TK_ISA_AMX = 5,           // the same + tiles of bf16 (AMX-TILE, AMX-BF16) in products
};

enum {
    TK_PANEL = 32,          // columns of a packed weight panel
    TK_CHUNK = 64,          // keys of an attention chunk, and of a KV page
    TK_VOCAB_CHUNK = 1024,  // columns of a vocabulary chunk
    TK_ALIGN = 64,          // alignment in bytes of what alloc returns
};

typedef struct tk_error {
    int32_t code;
    char message[252];  // NUL-terminated UTF-8
} tk_error;

// ---------------------------------------------------------------------------------------------------------------- context

typedef struct tk_open_args {
    uint32_t size;
    uint32_t threads;  // 0: one per CPU the process may run on
    uint32_t isa;      // TK_ISA_*; one that the machine lacks is TK_UNSUPPORTED
    uint32_t reserved;
    uint64_t ctx;      // out: the context handle
} tk_open_args;

typedef struct tk_info_args {
    uint32_t size;
    uint32_t threads;      // out
    uint32_t isa;          // out: in use
    uint32_t best_isa;     // out: the best that the machine has
    uint64_t allocated;    // out: bytes now held by alloc
    uint64_t peak;         // out: most bytes ever held by alloc
    char device[64];       // out: the processor's own name
} tk_info_args;

typedef struct tk_alloc_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t bytes;  // > 0
    uint64_t addr;   // out (alloc), in (free). The memory is zero.
} tk_alloc_args;

// copy: bytes from src to dst; the regions do not overlap. In the cpu back-end any address of the process will do.
typedef struct tk_copy_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t dst, src, bytes;
} tk_copy_args;

typedef struct tk_none_args {  // close, sync
    uint32_t size;
    uint32_t reserved;
} tk_none_args;

// probe measures a ceiling of this machine with all threads of the context, for benchmarks to divide by: of memory, in the manner that the
// context's first probe of it, over a larger buffer than the caches hold, finds quickest. TILE_BF16 are bf16 products where the ISA does them on
// tiles, TK_UNSUPPORTED elsewhere; DOT_BF16 are those of vectors.
enum { TK_PROBE_FMA_F32 = 1, TK_PROBE_DOT_BF16 = 2, TK_PROBE_READ = 3, TK_PROBE_COPY = 4, TK_PROBE_TILE_BF16 = 5 };
typedef struct tk_probe_args {
    uint32_t size;
    uint32_t kind;      // TK_PROBE_*
    uint64_t addr;      // READ, COPY: a buffer of `bytes`, shared out among the threads
    uint64_t bytes;
    uint64_t repeats;   // passes over the buffer, or iterations of the register-only loop
    double work;        // out: FLOPs done, or bytes read (COPY: read + written)
    double seconds;     // out
} tk_probe_args;

// ------------------------------------------------------------------------------------------------------ fills, casts, rows

// fill: x[0..n) = value.
typedef struct tk_fill_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, n;
    float value;
    uint32_t reserved;
} tk_fill_args;

// cast: y[r][c] = dtype_y(x[r][c]). Row strides in elements. NaN stays NaN.
typedef struct tk_cast_args {
    uint32_t size;
    uint32_t dtype_x, dtype_y;
    uint32_t reserved;
    uint64_t x, y;
    int64_t rows, cols, ldx, ldy;
} tk_cast_args;

// add: y[i] = a[i] + b[i], i < n; y may be a or b.
typedef struct tk_add_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t a, b, y, n;
} tk_add_args;

// rows: y[dst[i]][:] = x[src[i]][:] for i < n, cols elements each. src or dst 0: the identity. Every index is checked against
// rows_x or rows_y. Gathers, scatters, permutes.
typedef struct tk_rows_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, y;
    uint64_t src, dst;  // i32 [n]
    int64_t n, cols, ldx, ldy, rows_x, rows_y;
} tk_rows_args;

// --------------------------------------------------------------------------------------------------------- packed weights

// A weight W [n, k] (row n makes output column n) is packed into panels of TK_PANEL rows: P[ceil(n/32)][ksteps][32] lanes, with
// ksteps = k (f32) or ceil(k/2) (bf16); lane (p, s, j) holds W[32 p + j][s] or W[32 p + j][2 s .. 2 s + 1]; what is outside W is
// zero. So 128 bytes a k step, in both dtypes. pack writes rows row0 .. row0 + rows of W from row-major src; the panels' padding is
// zero already, or made so by the caller (alloc gives zeros). unpack is the inverse.
typedef struct tk_pack_args {
    uint32_t size;
    uint32_t dtype;      // of the packed weight
    uint32_t dtype_src;  // of the row-major side; f32 -> bf16 rounds
    uint32_t reserved;
    uint64_t src;        // [rows, k], row stride ld
    uint64_t packed;     // the whole P
    int64_t n, k, row0, rows, ld;
} tk_pack_args;

// matmul: y[i][j] = dtype_y(sum_k x[i][k] W[j][k] + bias[j] + residual[i][j]), i < m, j < n.
// bias f32 [n] or 0; residual of dtype_y, row stride ldr, or 0 (it may be y itself). dtype is that of x and of the packed W;
// dtype_y is dtype or TK_F32.
typedef struct tk_matmul_args {
    uint32_t size;
    uint32_t dtype;
    uint32_t dtype_y;
    uint32_t reserved;
    uint64_t x, w, bias, residual, y;
    int64_t m, n, k, ldx, ldr, ldy;
} tk_matmul_args;

// embed: y[i][:] = W[ids[i]][:] from a packed W [n, k]; ids i32 [m], each checked to be in [0, n).
typedef struct tk_embed_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t ids, w, y;
    int64_t m, n, k, ldy;
} tk_embed_args;

// patch_embed: y [m, n] = dtype(pixels [m, k] f32) W^T, the Conv3d of the vision tower as a matmul. workspace: m*k elements of
// dtype, used when dtype is bf16.
typedef struct tk_patch_embed_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t pixels, w, y, workspace;
    int64_t m, n, k, ldy;
} tk_patch_embed_args;

// ------------------------------------------------------------------------------------------------- norms and activations

// rmsnorm: y[i][j] = dtype(x[i][j] * rstd_i * weight[j]), rstd_i = 1/sqrt(mean_j x[i][j]^2 + eps); weight f32 [cols];
// rstd f32 [rows] or 0. The sum of squares runs over fixed lanes in increasing j: a row's result depends on that row alone.
typedef struct tk_rmsnorm_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, weight, y, rstd;
    int64_t rows, cols, ldx, ldy;
    float eps;
    uint32_t reserved;
} tk_rmsnorm_args;

// swiglu: y[i][j] = dtype(silu(gate[i][j]) * up[i][j]), silu(z) = z / (1 + e^-z). gate and up may be two halves of one buffer.
typedef struct tk_swiglu_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t gate, up, y;
    int64_t rows, cols, ldgate, ldup, ldy;
} tk_swiglu_args;

// gelu: y[i][j] = dtype(x/2 (1 + erf(x / sqrt 2))), the exact form; y may be x.
typedef struct tk_gelu_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, y;
    int64_t rows, cols, ldx, ldy;
} tk_gelu_args;

// ------------------------------------------------------------------------------------------------------------------- rope

// rope_table: cos[i][j] = cos(a), sin[i][j] = sin(a), a = f32(positions[axis[j]][i] * inv_freq[j]), for rows i < n and rotary
// pairs j < half. positions i32 [axes][n] (row stride ldp), axis i32 [half], inv_freq f32 [half]; cos, sin f32 [n, half].
// M-RoPE: axis = t.. h.. w.. by section. 2-D vision: axis = h.. w.., with inv_freq starting anew for w. 1-D: all 0.
typedef struct tk_rope_table_args {
    uint32_t size;
    uint32_t axes;
    uint64_t positions, axis, inv_freq, cos, sin;
    int64_t n, half, ldp;
} tk_rope_table_args;

// rope: for every row i < rows and head h, in place in x[i*ldx + h*dim ...]: the pairs (j, j + dim/2) are rotated by
// (cos[i][j], sin[i][j]) in f32, rounded once. inverse: sin is negated (the backward pass).
typedef struct tk_rope_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, cos, sin;
    int64_t rows, heads, dim, ldx;
    uint32_t inverse;
    uint32_t reserved;
} tk_rope_args;

// -------------------------------------------------------------------------------------------------------------- attention

// Heads have an even dim of 2 to 256 elements, here and in every attention op.
//
// A KV page holds TK_CHUNK consecutive positions of one sequence, for one layer, as two packed operands for each KV head:
//     K: [ksteps(dim)][64] lanes, lane (s, j) = element s (f32) or 2s..2s+1 (bf16) of key j
//     V: [ksteps(64)][dimp] lanes, lane (s, j) = column j of value s (f32) or of values 2s..2s+1 (bf16), dimp = dim rounded up to 16
// A page is [kv_heads][K then V], kv_heads * kv_tile_bytes in all, where
//     kv_tile_bytes = 4 * (ksteps(dim) * 64 + ksteps(64) * dimp)
// Slots of a page that were never written must be finite (alloc and fill give zeros): they meet p = 0.

// kv_write: token i < n of k and v ([n, kv_heads, dim], row strides ldk, ldv) goes to slot[i] = page * 64 + offset.
// pages is the address of page 0 of this layer, aligned to 4 bytes, page_stride the bytes from one page to the next (a multiple of
// 4), num_pages bounds slot.
typedef struct tk_kv_write_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t k, v, slots, pages;
    int64_t n, kv_heads, dim, ldk, ldv, page_stride, num_pages;
} tk_kv_write_args;

// attention_paged: causal attention over paged keys, for prefill chunks and decode rows alike. Sequence s owns query rows
// cu_q[s] .. cu_q[s+1]; it has kv_len[s] keys, the rows' own included (written before), so row r of n_q is at position
// kv_len[s] - n_q + r and sees the keys up to and at it. Its pages are block_table[s*ld_table ...], ceil(kv_len/64) of them.
// q, out [rows, heads, dim] with row strides; head h reads KV head h / (heads / kv_heads). lse f32 [rows, heads] or 0 (natural
// log of sum e^s). workspace: at least attention_workspace bytes.
typedef struct tk_attention_paged_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t q, out, lse, pages;
    uint64_t cu_q, kv_len, block_table;  // i32 [seqs+1], [seqs], [seqs, ld_table]
    uint64_t workspace, workspace_bytes;
    int64_t seqs, heads, kv_heads, dim, ldq, ldo, ld_table, page_stride, num_pages;
    float scale;
    uint32_t reserved;
} tk_attention_paged_args;

// attention: varlen attention over packed sequences. Segment s owns rows cu[s] .. cu[s+1] of q, k, v and out. Its keys are those
// of segment prefix[s] (when >= 0; that segment comes earlier and has no prefix itself) followed by its own; position and chunk
// grid count from the first of them. causal: a row sees the keys up to and at its own position; else all keys of the segment.
// prefix i32 [segments] or 0. k, v [rows, kv_heads, dim].
typedef struct tk_attention_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t q, k, v, out, lse;
    uint64_t cu, prefix;
    uint64_t workspace, workspace_bytes;
    int64_t segments, heads, kv_heads, dim, ldq, ldk, ldv, ldo;
    float scale;
    uint32_t causal;
} tk_attention_args;

// attention_workspace: the bytes of workspace that an attention call with these sizes needs at most. rows: query rows in all;
// keys: sum over the segments of their keys, prefixes included, each rounded up to TK_CHUNK (0 for attention_paged).
typedef struct tk_attention_workspace_args {
    uint32_t size;
    uint32_t dtype;
    int64_t rows, keys, heads, kv_heads, dim;
    uint64_t bytes;  // out
} tk_attention_workspace_args;

// ---------------------------------------------------------------------------------------------------- log-probs, sampling

// logprob: for row i < rows of x [rows, k] and z = inv_temperature * (x W^T) over the n columns that ban leaves,
//     logprob[i] = z[target[i]] - lse(z),   entropy[i] = -sum p ln p,   lse[i] = ln sum e^z.
// The logits live only in chunks of TK_VOCAB_CHUNK columns. ban: u32 bits [ceil(n/32)], 1 = banned, or 0. A banned target gives
// -inf; a target outside [0, n) is TK_INVALID. entropy, lse: f32 [rows] or 0. workspace: at least logprob_workspace bytes.
typedef struct tk_logprob_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, w, ban, targets, logprob, entropy, lse;
    uint64_t workspace, workspace_bytes;
    int64_t rows, n, k, ldx;
    float inv_temperature;
    uint32_t reserved;
} tk_logprob_args;

typedef struct tk_logprob_workspace_args {
    uint32_t size;
    uint32_t dtype;
    int64_t rows, n, k;
    uint64_t bytes;  // out
} tk_logprob_workspace_args;

// One row of a sample call. The uniform variate is the first output of Philox4x32-10 with key (seed low, seed high) and counter
// (step, prompt, sample, token): with its first two words w0 and w1, ((w0 2^32 + w1) >> 11) 2^-53. It depends on nothing else.
typedef struct tk_sample_row {
    uint64_t seed;
    uint32_t step, prompt, sample, token;
    float temperature;  // 0: greedy (arg max, lowest id on ties; log-probs at temperature 1)
    float top_p;        // 1: off
    float min_p;        // 0: off
    int32_t top_k;      // 0: off
} tk_sample_row;

// sample: for row i of logits f32 [rows, n] (row stride ld), under the ban: z = logits / temperature, then keep the top_k largest
// (all that tie with the last), then the smallest set of largest z whose share of what top_k left reaches top_p (at least one), then
// those of probability >= min_p * the largest; draw by inverse CDF in increasing id over what is left. logprob and entropy are those of the
// whole distribution under the ban, before the filters: what logprob gives at inv_temperature = f32(1/temperature), bit for bit.
// A row whose logits are not finite (NaN, +inf), or all banned, is TK_INVALID. workspace: at least sample_workspace bytes.
typedef struct tk_sample_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t logits, params, ban;       // f32, tk_sample_row [rows], u32 bits or 0
    uint64_t ids, logprob, entropy;     // out: i32, f32, f32 [rows]; entropy may be 0
    uint64_t workspace, workspace_bytes;
    int64_t rows, n, ld;
} tk_sample_args;

typedef struct tk_sample_workspace_args {
    uint32_t size;
    uint32_t reserved;
    int64_t rows, n;
    uint64_t bytes;  // out
} tk_sample_workspace_args;

// ----------------------------------------------------------------------------------------------------------- backward ops
//
// Gradients are f32, of activations and of parameters alike; `dtype` is that of what the forward pass stored (x, w, q, k, v, out).
// A parameter's gradient accumulates: every element of dw (and db) is one chain of f32 FMAs that starts from what it holds and takes
// the rows in increasing order. So rows that are cut into several calls, in the same order, give the same bits. Gradients of
// activations are overwritten unless the op says otherwise, and a row's gradient depends on what the row depended on alone.

// matmul_dx: dx[i][c] = sum_j dy[i][j] W[j][c], i < m, c < k, for the packed W [n, k] of matmul: one chain of f32 FMAs in increasing j
// from +0; bf16 is widened first. workspace: at least matmul_backward_workspace bytes.
typedef struct tk_matmul_dx_args {
    uint32_t size;
    uint32_t dtype;  // of W
    uint64_t dy, w, dx;
    uint64_t workspace, workspace_bytes;
    int64_t m, n, k, lddy, lddx;
} tk_matmul_dx_args;

// matmul_dw: dw[j][c] += sum_i dy[i][j] x[i][c], db[j] += sum_i dy[i][j]; dw [n, k] row-major with row stride lddw; db f32 [n] or 0.
// bf16 x is widened first. workspace: at least matmul_backward_workspace bytes.
typedef struct tk_matmul_dw_args {
    uint32_t size;
    uint32_t dtype;  // of x
    uint64_t dy, x, dw, db;
    uint64_t workspace, workspace_bytes;
    int64_t m, n, k, lddy, ldx, lddw;
} tk_matmul_dw_args;

// matmul_backward_workspace: the bytes of workspace that matmul_dx and matmul_dw with these sizes need at most.
typedef struct tk_matmul_backward_workspace_args {
    uint32_t size;
    uint32_t dtype;
    int64_t m, n, k;
    uint64_t bytes;  // out
} tk_matmul_backward_workspace_args;

// rmsnorm_backward: with xh = x rstd and g = dy weight, dx[i][j] = rstd_i (g[i][j] - xh[i][j] mean_j(g xh)), added to what dx holds
// when accumulate is 1 (one rounding); dw[j] += sum_i dy[i][j] xh[i][j], f32 [cols] or 0. rstd f32 [rows] is the forward pass's.
typedef struct tk_rmsnorm_backward_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, weight, rstd, dy, dx, dw;
    int64_t rows, cols, ldx, lddy, lddx;
    uint32_t accumulate;
    uint32_t reserved;
} tk_rmsnorm_backward_args;

// swiglu_backward: with s = 1/(1 + e^-gate), dup = dy gate s and dgate = dy up s (1 + gate (1 - s)). dgate and dup may be two halves of
// one buffer.
typedef struct tk_swiglu_backward_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t gate, up, dy, dgate, dup;
    int64_t rows, cols, ldgate, ldup, lddy, lddgate, lddup;
} tk_swiglu_backward_args;

// gelu_backward: dx = dy (Phi(x) + x phi(x)), with Phi and phi the standard normal distribution and density; dx may be dy.
typedef struct tk_gelu_backward_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, dy, dx;
    int64_t rows, cols, ldx, lddy, lddx;
} tk_gelu_backward_args;

// rows_add: y[dst[i]][:] += x[src[i]][:] in f32, i < n in increasing order; src or dst 0: the identity. An i whose dst is -1 is left
// out; every other index is checked against rows_x or rows_y. The backward of rows and embed.
typedef struct tk_rows_add_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t x, y;
    uint64_t src, dst;  // i32 [n]
    int64_t n, cols, ldx, ldy, rows_x, rows_y;
} tk_rows_add_args;

// attention_backward: the gradients of attention with the same segments, prefixes and mask. With p = exp(scale q.k - lse) (f32, not
// rounded), D_i = sum_c dout[i][c] out[i][c] and ds = p (dout.v - D): dv_j = sum p dout, dq_i = scale sum_j ds k_j,
// dk_j = scale sum_i ds q_i; a KV head sums over the query heads that read it, a prefix over all segments that have it. dq's keys are
// taken in increasing position; dk's and dv's queries in increasing row, heads inside or outside of rows, always the same way.
// A segment's gradients, and those of its prefix, depend on no segment that it shares no keys with.
typedef struct tk_attention_backward_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t q, k, v, out, lse, dout;
    uint64_t dq, dk, dv;
    uint64_t cu, prefix;
    uint64_t workspace, workspace_bytes;
    int64_t segments, heads, kv_heads, dim, ldq, ldk, ldv, ldo, lddo, lddq, lddk, lddv;
    float scale;
    uint32_t causal;
} tk_attention_backward_args;

// attention_backward_workspace: rows and keys as in attention_workspace.
typedef struct tk_attention_backward_workspace_args {
    uint32_t size;
    uint32_t dtype;
    int64_t rows, keys, heads, kv_heads, dim;
    uint64_t bytes;  // out
} tk_attention_backward_workspace_args;

// logprob_backward: the gradients of logprob with the same x, w, ban, targets and inv_temperature, from the coefficients
// dlogprob f32 [rows] and dentropy f32 [rows] or 0, and from lse and (with dentropy) entropy as logprob gave them:
//     dz[i][v] = dlogprob_i (1[v = target_i] - p_v) - dentropy_i p_v (ln p_v + entropy_i)   for v that ban leaves, else 0
// times inv_temperature; dx = dz W [rows, k] (or 0: not wanted) is overwritten, dw [n, k] += dz^T x (or 0: not wanted). The logits live
// only in chunks of TK_VOCAB_CHUNK columns; they are logprob's to the bit, ln p = z - lse and p = e^(ln p) are f32, and so is dz. dx and dw
// are the chains of matmul_dx and matmul_dw, dx's over the columns in increasing order. A banned target is TK_INVALID. workspace: at least
// logprob_backward_workspace bytes.
typedef struct tk_logprob_backward_args {
    uint32_t size;
    uint32_t dtype;
    uint64_t x, w, ban, targets, lse, entropy, dlogprob, dentropy;
    uint64_t dx, dw;
    uint64_t workspace, workspace_bytes;
    int64_t rows, n, k, ldx, lddx, lddw;
    float inv_temperature;
    uint32_t reserved;
} tk_logprob_backward_args;

typedef struct tk_logprob_backward_workspace_args {
    uint32_t size;
    uint32_t dtype;
    int64_t rows, n, k;
    uint64_t bytes;  // out
} tk_logprob_backward_workspace_args;

// ------------------------------------------------------------------------------------------------------ loss and optimizer

// group_advantage: advantages from rewards f64 [n] (NaN: masked, its advantage is 0) and dense group numbers i32 [n] in [0, groups).
// With mean m and deviation s (n - 1) over a group's unmasked rewards: (r - m)/(s + epsilon). scale says which s: the group's, that of
// all unmasked rewards, or none (r - m). Exactly 0 where the group's rewards are all equal. A group of one unmasked reward: 0, or with
// `lone` 1 (verl's rule) mean 0 and deviation 1. In the sums, in double, no addition rounds, since what is less than some 2^-70 of the
// group's largest is cut off before: neither the order of samples nor that of groups changes a bit. mean, std f64 [groups] or 0; count
// i32 [groups] (unmasked) or 0. A deviation of 0 in double of rewards that differ, with epsilon 0, gives 0. Infinite rewards and
// groups > n are refused. workspace: 2 n elements of f64.
enum { TK_SCALE_GROUP = 0, TK_SCALE_BATCH = 1, TK_SCALE_NONE = 2 };
typedef struct tk_group_advantage_args {
    uint32_t size;
    uint32_t scale;  // TK_SCALE_*
    uint64_t rewards, group, advantages, mean, std, count;
    int64_t n, groups;
    double epsilon;
    uint32_t lone;
    uint32_t reserved;
    uint64_t workspace;
} tk_group_advantage_args;

// policy_loss: for sequence s with tokens cu[s] .. cu[s+1], in double: token losses l, loss[s] = sum_t weight[s] l_t, and
// grad[t] = d loss[s] / d logprob[t]. x = exp(d), d = logprob - old; at TK_LEVEL_SEQUENCE x = exp(mean_t d), the same for all tokens of s.
// A = advantage[t], S the sigmoid.
//   clip   l = max(-A x', -A clamp(x, 1 - epsilon, 1 + epsilon_high)), x' = min(x, delta) where delta > 0;
//          with dual_clip > 0 and A < 0: l = min(l, -A dual_clip)
//   cispo  l = -min(x, epsilon_high) A logprob, the coefficient constant; cispo_clip: clamp(x, 1 - epsilon, 1 + epsilon_high) for min
//   sapo   l = -4/tau A S(tau (x - 1)), tau = tau_pos where A > 0, else tau_neg
//   nll    l = -logprob (old and advantage are not read)
// plus beta KL(logprob, ref), k1 = -q, k2 = q^2/2, k3 = e^q - q - 1, abs = |q| with q = ref - logprob. clamp_log_ratio: d is clamped to
// +-20; clamp_kl: q to +-20 and k3 to +-10; the gradient is 0 outside a clamp. old 0: logprob itself. ref 0: no KL, and kl is not
// written. Metrics of a sequence: kl[s] = sum_t k3 (not clamped), low[s] and high[s] = tokens with x < 1 - epsilon and A < 0, with
// x > 1 + epsilon_high and A > 0 (0 for nll); each may be 0. Where A is 0 the policy's part is 0, and where weight is 0 loss and gradient
// are, whatever the ratio. cu starts at 0. A sequence's sums are taken over blocks of 1024 tokens in lanes of the back-end's, and the
// blocks' sums added in order: neither the other sequences nor the number of threads change a bit.
enum { TK_LOSS_CLIP = 0, TK_LOSS_CISPO = 1, TK_LOSS_SAPO = 2, TK_LOSS_NLL = 3, TK_LOSS_CISPO_CLIP = 4 };
enum { TK_LEVEL_TOKEN = 0, TK_LEVEL_SEQUENCE = 1 };
enum { TK_KL_K1 = 1, TK_KL_K2 = 2, TK_KL_K3 = 3, TK_KL_ABS = 4 };
typedef struct tk_policy_loss_args {
    uint32_t size;
    uint32_t kind;   // TK_LOSS_*
    uint32_t level;  // TK_LEVEL_*
    uint32_t kl_kind;     // TK_KL_*
    uint64_t cu;                                 // i32 [sequences + 1]
    uint64_t logprob, old, ref, advantage;       // f64 [tokens]
    uint64_t weight;                             // f64 [sequences]
    uint64_t loss, grad;                         // out: f64 [sequences], [tokens]
    uint64_t kl, low, high;                      // out: f64, i32, i32 [sequences]
    int64_t sequences;
    double epsilon, epsilon_high, delta, dual_clip, beta, tau_pos, tau_neg;
    uint32_t clamp_log_ratio, clamp_kl;
} tk_policy_loss_args;

// adamw: one AdamW step (Loshchilov and Hutter 2019, as torch.optim.AdamW computes it) on n elements. With g' = g grad_scale:
// w *= 1 - lr weight_decay; m += (1 - beta1)(g' - m); v = beta2 v + (1 - beta2) g'^2;
// w -= lr/(1 - beta1^step) m / (sqrt(v)/sqrt(1 - beta2^step) + epsilon). All f32; the scalar factors are computed in double.
typedef struct tk_adamw_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t w, m, v, g;  // f32 [n]
    int64_t n;
    int64_t step;         // from 1
    double lr, beta1, beta2, epsilon, weight_decay, grad_scale;
} tk_adamw_args;

// square_sum: sum = sum_i x[i]^2 in double over f32 x [n], in fixed blocks of 4096 elements whose sums are added in order;
// nonfinite = how many elements are infinite or NaN (they are left out of the sum).
typedef struct tk_square_sum_args {
    uint32_t size;
    uint32_t reserved;
    uint64_t x;
    int64_t n;
    double sum;         // out
    int64_t nonfinite;  // out
} tk_square_sum_args;

// ------------------------------------------------------------------------------------------------------------- the table

// TK_FUNCTIONS lists the table's entries in order: X(name, args struct). It is the single source for the table, its layout check
// and the bindings. Append only.
#define TK_FUNCTIONS(X)                                     \
    X(open, tk_open_args)                                   \
    X(close, tk_none_args)                                  \
    X(info, tk_info_args)                                   \
    X(alloc, tk_alloc_args)                                 \
    X(free, tk_alloc_args)                                  \
    X(copy, tk_copy_args)                                   \
    X(sync, tk_none_args)                                   \
    X(probe, tk_probe_args)                                 \
    X(fill, tk_fill_args)                                   \
    X(cast, tk_cast_args)                                   \
    X(add, tk_add_args)                                     \
    X(rows, tk_rows_args)                                   \
    X(pack, tk_pack_args)                                   \
    X(unpack, tk_pack_args)                                 \
    X(matmul, tk_matmul_args)                               \
    X(embed, tk_embed_args)                                 \
    X(patch_embed, tk_patch_embed_args)                     \
    X(rmsnorm, tk_rmsnorm_args)                             \
    X(swiglu, tk_swiglu_args)                               \
    X(gelu, tk_gelu_args)                                   \
    X(rope_table, tk_rope_table_args)                       \
    X(rope, tk_rope_args)                                   \
    X(kv_write, tk_kv_write_args)                           \
    X(attention_paged, tk_attention_paged_args)             \
    X(attention, tk_attention_args)                         \
    X(attention_workspace, tk_attention_workspace_args)     \
    X(logprob, tk_logprob_args)                             \
    X(logprob_workspace, tk_logprob_workspace_args)         \
    X(sample, tk_sample_args)                               \
    X(sample_workspace, tk_sample_workspace_args)           \
    X(matmul_dx, tk_matmul_dx_args)                         \
    X(matmul_dw, tk_matmul_dw_args)                         \
    X(matmul_backward_workspace, tk_matmul_backward_workspace_args) \
    X(rmsnorm_backward, tk_rmsnorm_backward_args)           \
    X(swiglu_backward, tk_swiglu_backward_args)             \
    X(gelu_backward, tk_gelu_backward_args)                 \
    X(rows_add, tk_rows_add_args)                           \
    X(attention_backward, tk_attention_backward_args)       \
    X(attention_backward_workspace, tk_attention_backward_workspace_args) \
    X(logprob_backward, tk_logprob_backward_args)           \
    X(logprob_backward_workspace, tk_logprob_backward_workspace_args) \
    X(group_advantage, tk_group_advantage_args)             \
    X(policy_loss, tk_policy_loss_args)                     \
    X(adamw, tk_adamw_args)                                 \
    X(square_sum, tk_square_sum_args)

typedef struct tk_api {
    uint32_t size;       // of this struct, in bytes
    uint32_t abi;        // TK_ABI_VERSION
    char backend[16];    // "cpu", "cuda", "cudahost"
#define TK_DECLARE(name, args) int32_t (*name)(uint64_t ctx, args *a, tk_error *err);
    TK_FUNCTIONS(TK_DECLARE)
#undef TK_DECLARE
} tk_api;

#if defined(_WIN32)
#define TK_EXPORT __declspec(dllexport)
#else
#define TK_EXPORT __attribute__((visibility("default")))
#endif

// tk_get_api returns the back-end's table, or NULL if it does not speak this version. The table is constant.
TK_EXPORT const tk_api *tk_get_api(uint32_t version);

// tk_layout is for bindings to check themselves against when they load a back-end: sizeof of the args struct of the table's entry
// `index`, in the table's order, and 0 past the last one.
TK_EXPORT uint32_t tk_layout(uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
