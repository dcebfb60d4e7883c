#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#include "depthwise.h"

#define TAPS 2
#define CHANNELS 32
typedef int16_t element, number;
typedef struct eo_s16_parameters parameters;
#define WEIGHT_ZERO_POINT(p) ((void)(p), 0)

SIMD __mmask32 mask_of(size_t part) { return part ? (__mmask32)((1ull << part) - 1) : ~0u; }

SIMD ivec row_load(const number *x, const parameters *p, size_t part) {
    return (void)p, part ? _mm512_maskz_loadu_epi16(mask_of(part), x) : _mm512_loadu_si512(x);
}

// VNNI, whose sums take longer to come back, is not faster.
SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return words_dot(sum, v, w); }

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const ivec words = _mm512_max_epi16(words_unzip(q[0], q[1]), ivec_set_words((int16_t)p->minimum));
    _mm512_mask_storeu_epi16(to, mask_of(part), words);
}

#include "../simd/integer_depthwise.h"

TARGET void eo_s16_depthwise_2x32__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
