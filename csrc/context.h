// context.h - what an op may see: the context, its kernels, and how to refuse.
#ifndef TK_CONTEXT_H
#define TK_CONTEXT_H

#include <stdio.h>
#include <string.h>

#include "include/thinker.h"
#include "kernels.h"
#include "pool.h"

typedef struct tk_context {
    uint64_t magic;  // TK_CONTEXT_MAGIC while open
    uint32_t isa;
    const tk_kernels *kernels;
    tk_pool *pool;
    double alone;  // bytes moved by small calls since the pool's last one: see blocks.c
    int read_manner, copy_manner;  // the quickest, plus 1, once probes know it
    uint64_t allocated, peak;
    void *stage;  // memory of stage.c, or NULL
} tk_context;

#define TK_CONTEXT_MAGIC 0x74686e6b72637478ull

// tk_fail writes code and message into err (which may be NULL) and returns code.
int32_t tk_fail(tk_error *err, int32_t code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// TK_ENTER opens every op: it checks the handle and the caller's idea of the struct, and declares `cx`.
#define TK_ENTER(op)                                                                                                            \
    tk_context *cx = (tk_context *)(uintptr_t)ctx;                                                                              \
    if (!cx || cx->magic != TK_CONTEXT_MAGIC) return tk_fail(err, TK_INVALID, op ": not an open context");                      \
    if (!a || a->size < sizeof *a)                                                                                              \
        return tk_fail(err, TK_INVALID, op ": args.size is %u, this version needs %zu", a ? a->size : 0u, sizeof *a);

// TK_REQUIRE refuses an argument; the message says which and what it was.
#define TK_REQUIRE(cond, ...)                                        \
    do {                                                             \
        if (!(cond)) return tk_fail(err, TK_INVALID, __VA_ARGS__);   \
    } while (0)

#define TK_REQUIRE_DTYPE(op, d) TK_REQUIRE((d) == TK_F32 || (d) == TK_BF16, op ": dtype %u is neither f32 nor bf16", (unsigned)(d))

// TK_PTR turns an address into a pointer.
#define TK_PTR(type, addr) ((type *)(uintptr_t)(addr))

static inline int64_t tk_dtype_bytes(uint32_t dtype) { return dtype == TK_BF16 ? 2 : 4; }
static inline int64_t tk_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t tk_ksteps(uint32_t dtype, int64_t k) { return dtype == TK_BF16 ? (k + 1) / 2 : k; }
static inline int64_t tk_panel_lanes(uint32_t dtype, int64_t k) { return tk_ksteps(dtype, k) * TK_PANEL; }

// Every function of the table, by name: tk_cpu_open, tk_cpu_matmul, ...
#define TK_DECLARE_CPU(name, args) int32_t tk_cpu_##name(uint64_t ctx, args *a, tk_error *err);
TK_FUNCTIONS(TK_DECLARE_CPU)
#undef TK_DECLARE_CPU

#endif
