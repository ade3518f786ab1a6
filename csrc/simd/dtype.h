// dtype.h - vec.h's loads and stores under names that end in the storage type, for kernels written once for f32 and bf16.
#ifndef TK_SIMD_DTYPE_H
#define TK_SIMD_DTYPE_H

#include "vec.h"

#define v_get_f32 v_load
#define v_getn_f32 v_loadn
#define v_put_f32 v_store
#define v_putn_f32 v_storen
#define v_get_bf16 v_load_bf16
#define v_getn_bf16 v_loadn_bf16
#define v_put_bf16 v_store_bf16
#define v_putn_bf16 v_storen_bf16

// Two vectors; f32 that go with bf16 come in the order of v_load2_bf16.
TK_INLINE void v_get2_f32(const float *p, vf *a, vf *b) { *a = v_load(p), *b = v_load(p + VL); }
TK_INLINE void v_put2_f32(float *p, vf a, vf b) { v_store(p, a), v_store(p + VL, b); }
#define v_get2_bf16 v_load2_bf16
#define v_put2_bf16 v_store2_bf16
#define v_put2_bf16_clean v_store2_bf16_clean
#define v_put2_f32_clean v_put2_f32
#define v_get2_f32_as_f32 v_get2_f32
#define v_get2_f32_as_bf16 v_load2

#endif
