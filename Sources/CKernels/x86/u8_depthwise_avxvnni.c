#if defined(__x86_64__)
#include "depthwise.h"
#include "../simd/i32_avx2.h"
#include "../simd/parts_avx2.h"
#undef TARGET
#define TARGET __attribute__((target("avxvnni,avx2,fma,f16c")))

#define TAPS 4
#define CHANNELS 32
typedef int8_t element;
typedef struct eo_u8_depthwise_parameters parameters;
typedef uint8_t number;
#define WEIGHT_ZERO_POINT(p) (p)->weight_zero_point

SIMD void group_load(ivec v[TAPS], const number *const x[TAPS], const parameters *p, size_t part) {
    const ivec flips = _mm256_set1_epi8((char)p->flip);
    ivec row[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++)
        row[i] = _mm256_xor_si256(flips, part ? bytes_load_part(x[i], part) : ivec_load((const int32_t *)x[i]));
    const ivec low01 = _mm256_unpacklo_epi8(row[0], row[1]), high01 = _mm256_unpackhi_epi8(row[0], row[1]);
    const ivec low23 = _mm256_unpacklo_epi8(row[2], row[3]), high23 = _mm256_unpackhi_epi8(row[2], row[3]);
    v[0] = _mm256_unpacklo_epi16(low01, low23);
    v[1] = _mm256_unpackhi_epi16(low01, low23);
    v[2] = _mm256_unpacklo_epi16(high01, high23);
    v[3] = _mm256_unpackhi_epi16(high01, high23);
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return _mm256_dpbusd_avx_epi32(sum, v, w); }

SIMD ivec finish(ivec words, const parameters *p) {
    words = _mm256_adds_epi16(words, _mm256_set1_epi16((int16_t)p->output_zero_point));
    words = _mm256_max_epi16(words, _mm256_set1_epi16((int16_t)p->minimum));
    return _mm256_and_si256(words, _mm256_set1_epi16(0xff));
}

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const ivec low = finish(_mm256_packs_epi32(q[0], q[1]), p), high = finish(_mm256_packs_epi32(q[2], q[3]), p);
    const ivec bytes = _mm256_packus_epi16(low, high);
    if (part)
        bytes_store_part(to, bytes, part);
    else
        _mm256_storeu_si256((__m256i *)to, bytes);
}

#define PAIR(weights) _mm256_slli_epi32(weights, 8)
#include "../simd/integer_depthwise.h"

TARGET void eo_u8_depthwise_4x32__avxvnni(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
