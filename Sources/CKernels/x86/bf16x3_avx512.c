#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,bmi2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

#include "split_avx512.h"

SIMD void split_step(const float *x, size_t count, size_t parts, char *to) {
    const uint32_t mask = _bzhi_u32(~0u, (unsigned)count);
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, x);
    const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16);
    if (parts == 1)
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    else
        split_floats(low, high, EO_BF16X3_TILE, to);
}

#include "../simd/bf16x3.h"

TARGET void eo_gather_bf16x3__amx(const struct eo_gather *gather) { split_rows(gather); }

TARGET void eo_bf16x3_split__avx512(const float *weights, char *to) {
    for (int pair = 0; pair < SIDE; pair++, weights += 2 * SIDE, to += EO_BF16X3_LINE)
        for (int half = 0; half < 2; half++)
            split_floats(_mm512_loadu_ps(weights + half * SIDE),
                         _mm512_loadu_ps(weights + SIDE * 2 * SIDE + half * SIDE), 2 * EO_BF16X3_TILE,
                         to + half * EO_BF16X3_TILE);
}
#endif
