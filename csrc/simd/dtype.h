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

#endif
