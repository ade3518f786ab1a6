// packed.h - checks of products and of packed weights.
#ifndef TK_PACKED_H
#define TK_PACKED_H

#include "check.h"

// tk_check_product refuses the sizes of a product: m may be 0, n and k may not.
static inline int32_t tk_check_product(tk_error *err, const char *op, int64_t m, int64_t n, int64_t k)
{
    const int64_t most = (int64_t)1 << TK_MAX_EXTENT_BITS;
    TK_REQUIRE(m >= 0 && m <= most, "%s: m is %lld", op, (long long)m);
    TK_REQUIRE(n > 0 && n <= most, "%s: n is %lld", op, (long long)n);
    TK_REQUIRE(k > 0 && k <= most, "%s: k is %lld", op, (long long)k);
    return TK_OK;
}

// tk_check_packed refuses a packed weight [n, k]: its address, and an extent that no memory has.
static inline int32_t tk_check_packed(tk_error *err, const char *op, const char *name, uint64_t addr, uint32_t dtype, int64_t n, int64_t k)
{
    return tk_check_matrix(err, op, name, addr, tk_ceil_div(n, TK_PANEL), tk_panel_lanes(dtype, k), tk_panel_lanes(dtype, k), 4);
}

// tk_check_vocabulary refuses the dtype and the sizes of a product with the vocabulary's weight: its columns are ids.
static inline int32_t tk_check_vocabulary(tk_error *err, const char *op, uint32_t dtype, int64_t rows, int64_t n, int64_t k)
{
    TK_REQUIRE(dtype == TK_F32 || dtype == TK_BF16, "%s: dtype %u is neither f32 nor bf16", op, dtype);
    TK_TRY(tk_check_product(err, op, rows, n, k));
    TK_REQUIRE(n <= INT32_MAX, "%s: n is %lld, more than an id holds", op, (long long)n);
    return TK_OK;
}

#endif
