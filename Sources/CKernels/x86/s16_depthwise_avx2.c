#if defined(__x86_64__)
#include "../simd/i32_avx2.h"
#include "../simd/parts_avx2.h"
#include "depthwise.h"

#define TAPS 2
#define CHANNELS 16
typedef int16_t element, number;
typedef struct eo_s16_parameters parameters;
#define WEIGHT_ZERO_POINT(p) ((void)(p), 0)

SIMD ivec row_load(const number *x, const parameters *p, size_t part) {
    return (void)p, part ? bytes_load_part(x, part * sizeof *x) : ivec_load((const int32_t *)x);
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return words_dot(sum, v, w); }

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const ivec words = _mm256_max_epi16(words_unzip(q[0], q[1]), ivec_set_words((int16_t)p->minimum));
    if (part)
        bytes_store_part(to, words, part * sizeof *to);
    else
        ivec_store((int32_t *)to, words);
}

#include "../simd/integer_depthwise.h"

TARGET void eo_s16_depthwise_2x16__avx2(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
