// numerics.h - before all arithmetic: what C leaves to the compiler.
#ifndef TK_NUMERICS_H
#define TK_NUMERICS_H

// a * b + c is two roundings unless a kernel says v_fma: a result does not depend on where its code was inlined. gcc keeps to that with
// -std=c17; clang has to be told.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#endif
