// isa_scalar.c - the kernels for any machine: four lanes of GNU C vectors.
#include "kernels.h"

#define TK_ISA_LEVEL 1
#define TK_SIMD(name) name##_scalar
#include "simd/table.h"
