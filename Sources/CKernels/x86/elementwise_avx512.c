#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define K(name) eo_##name##__avx512
#define TABLE eo_elementwise_avx512
#define ISA ISA_AVX512
#define LANES 16
#define SCALE_BY_POWER(x, n) ((f32s)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define BYTE_BLOCKS_HEADER "../x86/byte_blocks_avx512.h"
#include "../simd/elementwise.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
