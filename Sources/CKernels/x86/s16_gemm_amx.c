#if defined(__x86_64__)
// 16-bit numbers are 256 * upper byte, with a sign, + lower byte: two products of bytes.
#include "tile_products.h"

#include "../simd/s16_finish_avx512.h"

// A row of sums of both halves becomes results.
SIMD void finish_words(const struct product *p, const struct leaving *l) {
    const struct eo_s16_parameters *q = p->tile->parameters;
    const int64_t *bias = (const int64_t *)l->head;
    const float *scale = (const float *)(bias + NR);
    for (size_t j = 0; j < l->columns; j += LANES) {
        const ivec upper = ivec_load(l->sums + j), lower = ivec_load(l->sums + TILE_ROWS * NR + j);
        ivec low = _mm512_add_epi64(_mm512_slli_epi64(low_sums(upper), 8), low_sums(lower));
        ivec high = _mm512_add_epi64(_mm512_slli_epi64(high_sums(upper), 8), high_sums(lower));
        low = _mm512_add_epi64(low, _mm512_loadu_si512(bias + j));
        high = _mm512_add_epi64(high, _mm512_loadu_si512(bias + j + 8));
        finish_sums(low, high, scale + j, q, l->output + j * p->element, l->columns - j);
    }
}

// The same where sums fit 32 bits and scales are below 1: the lower halves' sums began with the bias, and packing
// limits what leaves 16 bits.
SIMD void finish_narrow_words(const struct product *p, const struct leaving *l) {
    const struct eo_s16_parameters *q = p->tile->parameters;
    const float *scales = (const float *)((const int64_t *)l->head + NR);
    const ivec order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    ivec part[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        const ivec upper = _mm512_slli_epi32(ivec_load(l->sums + LANES * j), 8);
        const ivec sum = ivec_add(upper, ivec_load(l->sums + TILE_ROWS * NR + LANES * j));
        part[j] = vec_round(vec_multiply(ivec_to_float(sum), vec_load(scales + LANES * j)));
    }
    const ivec words = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(part[0], part[1]));
    _mm512_mask_storeu_epi16(l->output, _bzhi_u32(~0u, (unsigned)l->columns),
                             _mm512_min_epi16(_mm512_max_epi16(words, _mm512_set1_epi16((int16_t)q->minimum)),
                                              _mm512_set1_epi16((int16_t)q->maximum)));
}

static inline __attribute__((always_inline)) TARGET void leave_rows(const int fast, const struct product *p,
                                                                    const struct leaving *l) {
    if (fast)
        finish_narrow_words(p, l);
    else
        finish_words(p, l);
}

static TARGET void multiply(struct product *p) { tile_products(WORDS, 0, p); }
static TARGET void multiply_narrow(struct product *p) { tile_products(WORDS, 1, p); }

TARGET void eo_s16_gemm_16x32__amx(const struct eo_gemm_tile *t) {
    const struct eo_s16_parameters *q = t->parameters;
    struct product p = {.tile = t, .element = q->leaves_f ? sizeof(float) : sizeof(int16_t), .heads = 3};
    if (q->sums_fit_32 && q->output_zero_point == 0)
        multiply_narrow(&p);
    else
        multiply(&p);
}
#endif
