// probe_kernels.h - ISA-dependent functions of the probes of the machine's ceilings.
#ifndef TK_PROBE_KERNELS_H
#define TK_PROBE_KERNELS_H

#include <stdint.h>

#include "include/thinker.h"

enum { TK_PROBE_MANNERS = 3 };  // of going through memory; which is the quickest differs from processor to processor

typedef struct tk_probe_kernels {
    // Register-only loops from x; they return the FLOPs done and put into sink what keeps them from being optimized away.
    double (*fma_f32)(uint64_t iterations, float x, float *sink);
    double (*dot_bf16)(uint64_t iterations, float x, float *sink);
    double (*tile_bf16)(uint64_t iterations, float x, float *sink);  // NULL without tiles
    // read goes over the buffer once; copy moves bytes from src to dst.
    void (*read[TK_PROBE_MANNERS])(const char *p, uint64_t bytes, float *sink);
    void (*copy[TK_PROBE_MANNERS])(char *dst, const char *src, uint64_t bytes);
} tk_probe_kernels;

#endif
