// Floats split into three parts of bfloat16, see gemm.h. The including file defines SIMD.
#ifndef EDGEOPT_X86_SPLIT_AVX512_H
#define EDGEOPT_X86_SPLIT_AVX512_H

#include "gemm.h"

#include <immintrin.h>

// Parts of 32 floats, 16 of them `low` and 16 `high` in the pairs, `distance` bytes from one part to the next.
SIMD void split_floats(__m512 low, __m512 high, size_t distance, char *to) {
    const __m512i mask = _mm512_set1_epi32(-0x10000);
#pragma clang loop unroll(full)
    for (int part = 0; part < EO_BF16X3_PARTS; part++, to += distance) {
        const __m512i upper = _mm512_and_si512(_mm512_castps_si512(high), mask);
        _mm512_storeu_si512(to, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16), upper));
        // Exact.
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(low), mask)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(upper));
    }
}

#endif
