#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define STEP eo_lstm_step__avx2
#define LANES 16
typedef short shorts __attribute__((ext_vector_type(16), may_alias));
static inline shorts splat(short x) { return (shorts)x; }
static inline shorts multiply(shorts a, shorts b) { return (shorts)_mm256_mulhrs_epi16((__m256i)a, (__m256i)b); }
#include "../simd/lstm.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
