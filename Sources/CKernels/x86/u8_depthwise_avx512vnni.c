#if defined(__x86_64__)
#include "depthwise.h"
#include "../simd/i32_avx512.h"
#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,bmi2,fma,f16c")))

#define TAPS 4
#define CHANNELS 64
typedef int8_t element;
typedef struct eo_u8_depthwise_parameters parameters;
typedef uint8_t number;
#define WEIGHT_ZERO_POINT(p) (p)->weight_zero_point

SIMD __mmask64 mask_of(size_t part) { return part ? _bzhi_u64(~0ull, (unsigned)part) : ~0ull; }

SIMD void group_load(ivec v[TAPS], const number *const x[TAPS], const parameters *p, size_t part) {
    const ivec flips = _mm512_set1_epi8((char)p->flip);
    ivec row[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++)
        row[i] =
            _mm512_xor_si512(flips, part ? _mm512_maskz_loadu_epi8(mask_of(part), x[i]) : _mm512_loadu_si512(x[i]));
    const ivec low01 = _mm512_unpacklo_epi8(row[0], row[1]), high01 = _mm512_unpackhi_epi8(row[0], row[1]);
    const ivec low23 = _mm512_unpacklo_epi8(row[2], row[3]), high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    v[0] = _mm512_unpacklo_epi16(low01, low23);
    v[1] = _mm512_unpackhi_epi16(low01, low23);
    v[2] = _mm512_unpacklo_epi16(high01, high23);
    v[3] = _mm512_unpackhi_epi16(high01, high23);
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return _mm512_dpbusd_epi32(sum, v, w); }

SIMD ivec finish(ivec words, const parameters *p) {
    words = _mm512_adds_epi16(words, _mm512_set1_epi16((int16_t)p->output_zero_point));
    words = _mm512_max_epi16(words, _mm512_set1_epi16((int16_t)p->minimum));
    return _mm512_and_si512(words, _mm512_set1_epi16(0xff));
}

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const ivec low = finish(_mm512_packs_epi32(q[0], q[1]), p), high = finish(_mm512_packs_epi32(q[2], q[3]), p);
    const ivec bytes = _mm512_packus_epi16(low, high);
    if (part)
        _mm512_mask_storeu_epi8(to, mask_of(part), bytes);
    else
        _mm512_storeu_si512(to, bytes);
}

#define PAIR(weights) _mm512_slli_epi32(weights, 8)
#include "../simd/integer_depthwise.h"

TARGET void eo_u8_depthwise_4x64__avx512vnni(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
