// check.h - the argument checks that ops share. Nothing here touches the memory that it checks.
#ifndef TK_CHECK_H
#define TK_CHECK_H

#include "context.h"

// TK_TRY returns from an op with the status of a check that refused.
#define TK_TRY(check)                        \
    do {                                     \
        int32_t status_ = (check);           \
        if (status_ != TK_OK) return status_; \
    } while (0)

enum { TK_MAX_EXTENT_BITS = 44 };  // no operand has more elements than this many bits count

// tk_check_matrix refuses an address that is null or not aligned to its elements, a row stride shorter than a row, and an extent
// that no memory has. An empty matrix needs no address.
static inline int32_t tk_check_matrix(tk_error *err, const char *op, const char *name, uint64_t addr, int64_t rows, int64_t cols,
                                      int64_t ld, int64_t elem)
{
    const int64_t most = (int64_t)1 << TK_MAX_EXTENT_BITS;
    TK_REQUIRE(rows >= 0 && cols >= 0, "%s: %s has %lld rows of %lld", op, name, (long long)rows, (long long)cols);
    TK_REQUIRE(ld >= 0 && ld <= most, "%s: the row stride of %s is %lld", op, name, (long long)ld);
    if (rows == 0 || cols == 0) return TK_OK;
    TK_REQUIRE(addr, "%s: %s is null", op, name);
    TK_REQUIRE(addr % (uint64_t)elem == 0, "%s: %s is %#llx, not aligned to its elements of %lld bytes", op, name, (unsigned long long)addr,
               (long long)elem);
    TK_REQUIRE(ld >= cols, "%s: the row stride of %s is %lld, less than its %lld columns", op, name, (long long)ld, (long long)cols);
    int64_t extent;
    TK_REQUIRE(!__builtin_mul_overflow(rows - 1, ld, &extent) && !__builtin_add_overflow(extent, cols, &extent) && extent <= most,
               "%s: %s is too large: %lld rows of stride %lld", op, name, (long long)rows, (long long)ld);
    return TK_OK;
}

// tk_check_vector is tk_check_matrix for n elements in a row.
static inline int32_t tk_check_vector(tk_error *err, const char *op, const char *name, uint64_t addr, int64_t n, int64_t elem)
{
    return tk_check_matrix(err, op, name, addr, 1, n, n, elem);
}

// tk_check_ids refuses an index outside [0, limit), and says where it stands.
static inline int32_t tk_check_ids(tk_error *err, const char *op, const char *name, const int32_t *ids, int64_t n, int64_t limit)
{
    for (int64_t i = 0; i < n; i++)
        TK_REQUIRE(ids[i] >= 0 && ids[i] < limit, "%s: %s[%lld] is %d, outside [0, %lld)", op, name, (long long)i, ids[i], (long long)limit);
    return TK_OK;
}

// tk_dtype_index is 0 for f32 and 1 for bf16: the order of kernels that come in both.
static inline int tk_dtype_index(uint32_t dtype) { return dtype == TK_BF16; }

#endif
