#if defined(__x86_64__)
#include "u8_requantize_avx512.h"
#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

typedef __m512i acc, bvec, avec;
typedef uint8_t row_element;
#define ROW row_element
#define VECTORS 2
#define MR 14
#define HALF_COUNTS UP_TO_7

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return _mm512_dpbusd_epi32(sum, a, b); }
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_load(const int8_t *p) { return _mm512_loadu_si512(p); }
SIMD avec avec_load(const ROW *p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return _mm512_set1_epi32(quad);
}

#define REQUANTIZE_TOTALS
#include "../simd/u8_gemm.h"

// The last row may be its own partner.
SIMD void requantize_rows(const int general, const struct totals *s) {
    const struct requantization r = requantization(s->tile->parameters);
    const size_t stride = s->tile->output_stride, rows = s->tile->rows;
    for (size_t i = 0; i < rows; i += 2) {
        const size_t next = i + 1 < rows ? i + 1 : i;
        const struct requantized_row first = {
            .sums = s->sums + i * NR,
            .correction = general && s->corrections ? s->corrections[i] : 0,
            .output = s->output + i * stride,
        };
        const struct requantized_row second = {
            .sums = s->sums + next * NR,
            .correction = general && s->corrections ? s->corrections[next] : 0,
            .output = s->output + next * stride,
        };
        requantize_pair(general, &r, (const float *)(s->head + NR), s->columns, first, second);
    }
}

SIMD void requantize_totals(const struct totals *s) {
    if (!s->corrections && requantization(s->tile->parameters).is_plain)
        requantize_rows(0, s);
    else
        requantize_rows(1, s);
}

TARGET void eo_u8_gemm_14x32__avx512vnni(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_14x32__avx512vnni(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
#endif
