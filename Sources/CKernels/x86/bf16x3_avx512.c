#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

#include "split_avx512.h"

SIMD void split_step(const float *x, char *to) {
    split_floats(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16), EO_BF16X3_TILE, to);
}

#include "../simd/bf16x3.h"

TARGET void eo_gather_bf16x3__avx512(const struct eo_gather *gather) { split_rows(gather); }

TARGET void eo_bf16x3_split__avx512(const float *weights, char *to) {
    for (int pair = 0; pair < SIDE; pair++, weights += 2 * SIDE, to += EO_BF16X3_LINE)
        for (int half = 0; half < 2; half++)
            split_floats(_mm512_loadu_ps(weights + half * SIDE),
                         _mm512_loadu_ps(weights + SIDE * 2 * SIDE + half * SIDE), 2 * EO_BF16X3_TILE,
                         to + half * EO_BF16X3_TILE);
}
#endif
