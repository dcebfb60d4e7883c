#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

#include "s16_gemm_words.h"

SIMD ivec pair_load(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
// Not by the intrinsic: clang takes it apart into a multiplication and an addition, which is slower here.
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "../simd/s16_gemm.h"

TARGET void eo_s16_gemm_12x32__avx512vnni(const struct eo_gemm_tile *t) { tile(t); }
#endif
