#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define K(name) eo_##name##__avx512
#define TABLE eo_elementwise_avx512
#define ISA ISA_AVX512
#define LANES 16
#define SCALE_BY_POWER(x, n) ((f32s)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define POWER_OF_TWO(n) SCALE_BY_POWER((f32s)1.0f, n)
// By masks: a copy of so many bytes would be a call.
#define LANES_MASK(n) ((__mmask16)((1u << (n)) - 1))
#define LOAD_32(p, mask) _mm512_maskz_loadu_epi32(mask, p)
#define LOAD_16(p, mask) _mm256_maskz_loadu_epi16(mask, p)
#define LOAD_8(p, mask) _mm_maskz_loadu_epi8(mask, p)
#define STORE_32(p, mask, v) _mm512_mask_storeu_epi32(p, mask, (__m512i)(v))
#define STORE_16(p, mask, v) _mm256_mask_storeu_epi16(p, mask, (__m256i)(v))
#define STORE_8(p, mask, v) _mm_mask_storeu_epi8(p, mask, (__m128i)(v))
#define LOAD_STORE_PART(name, type, vector, bits)                                                                      \
    INLINE vector load_##name(const type *p, size_t n) { return (vector)LOAD_##bits(p, LANES_MASK(n)); }               \
    INLINE void store_##name(type *p, vector v, size_t n) { STORE_##bits(p, LANES_MASK(n), v); }
#define BYTE_BLOCKS_HEADER "../x86/byte_blocks_avx512.h"
#include "../simd/elementwise.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
