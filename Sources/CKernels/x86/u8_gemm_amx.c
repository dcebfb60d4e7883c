#if defined(__x86_64__)
#include "tile_products.h"

#define VECTORS 2
#include "../simd/u8_requantize.h"

struct constants {
    struct requantization requantization;
    const int32_t *corrections; // - weight zero point * sum of the row, or null
};

SIMD void requantize(const int general, const struct product *p, const struct leaving *l) {
    const struct constants *c = p->constants;
    const int32_t *corrections = general ? c->corrections : NULL;
    const struct requantized_row rows[] = {
        {
            .sums = l->sums,
            .correction = corrections ? corrections[l->row] : 0,
            .output = l->output,
        },
        {
            .sums = l->sums + TILE_ROWS * NR,
            .correction = corrections ? corrections[(ptrdiff_t)l->row + l->below] : 0,
            .output = l->output + l->below * (ptrdiff_t)p->tile->output_stride,
        },
    };
    requantize_together(general, VECTORS, &c->requantization, (const float *)l->head + NR, l->columns, rows);
}

SIMD void dequantize_row(const struct product *p, const struct leaving *l, const int32_t *sums, ptrdiff_t below) {
    const struct eo_hybrid_gemm_parameters *limits = p->tile->parameters;
    const struct eo_hybrid_row *grid = eo_hybrid_row_of(p->tile, (size_t)((ptrdiff_t)l->row + below));
    const float *scales = (const float *)l->head + NR;
    float *output = (float *)(l->output + below * (ptrdiff_t)p->tile->output_stride);
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        if ((size_t)(LANES * j) >= l->columns) break;
        ivec sum = ivec_load(sums + LANES * j);
        // Of rows that share them, sums began with it.
        if (p->tile->row_parameters_stride) {
            const ivec weights = ivec_load((const int32_t *)l->head + LANES * j);
            sum = ivec_add(sum, ivec_multiply(weights, ivec_set(-grid->zero_point)));
        }
        const vec scale = vec_multiply(vec_set(grid->scale), vec_load(scales + LANES * j));
        const vec x = vec_add(vec_multiply(ivec_to_float(sum), scale), vec_load(scales + NR + LANES * j));
        const uint32_t mask = _bzhi_u32(~0u, (unsigned)l->columns) >> LANES * j;
        _mm512_mask_storeu_ps(output + LANES * j, (__mmask16)mask,
                              vec_clamp(x, vec_set(limits->minimum), vec_set(limits->maximum)));
    }
}

SIMD void dequantize(const struct product *p, const struct leaving *l) {
    dequantize_row(p, l, l->sums, 0);
    dequantize_row(p, l, l->sums + TILE_ROWS * NR, l->below);
}

// `fast`: no corrections, and requantization.is_plain. No constants: results are floats.
static inline __attribute__((always_inline)) TARGET void leave_rows(const int fast, const struct product *p,
                                                                    const struct leaving *l) {
    if (fast)
        requantize(0, p, l);
    else if (p->constants)
        requantize(1, p, l);
    else
        dequantize(p, l);
}

static TARGET void multiply_signed(struct product *p) { tile_products(SIGNED_BYTES, 1, p); }
static TARGET void multiply_unsigned(struct product *p) { tile_products(UNSIGNED_BYTES, 0, p); }
static __attribute__((noinline)) TARGET void multiply_signed_any(struct product *p) {
    tile_products(SIGNED_BYTES, 0, p);
}

// - weight zero point * sum of the row
SIMD void row_corrections(const struct eo_gemm_tile *t, const struct eo_u8_gemm_parameters *p, int32_t *corrections) {
    const __m512i ones = _mm512_set1_epi8(1), flip = _mm512_set1_epi8(p->rows_are_signed ? (char)0x80 : 0);
    for (size_t i = 0; i < t->rows; i++) {
        const char *row = (const char *)t->input + i * t->input_stride;
        __m512i sum = _mm512_setzero_si512();
        for (size_t k = 0; k < t->depth; k += 64) {
            const __mmask64 mask = _bzhi_u64(~0ull, t->depth - k < 64 ? (unsigned)(t->depth - k) : 64);
            sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, row + k), flip),
                                      _mm512_maskz_mov_epi8(mask, ones));
        }
        const uint32_t shift = p->rows_are_signed ? 128 * (uint32_t)t->depth : 0;
        const uint32_t total = (uint32_t)_mm512_reduce_add_epi32(sum) - shift;
        corrections[i] = (int32_t)(0 - (uint32_t)p->weight_zero_point * total);
    }
}

TARGET void eo_u8_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    const struct eo_u8_gemm_parameters *q = t->parameters;
    int32_t corrections[EO_AMX_ROWS];
    if (q->weight_zero_point != 0) row_corrections(t, q, corrections);
    const struct constants constants = {
        .requantization = requantization(q),
        .corrections = q->weight_zero_point != 0 ? corrections : NULL,
    };
    struct product p = {.tile = t, .element = 1, .heads = 2, .bias_factor = 1, .constants = &constants};
    if (!q->rows_are_signed)
        multiply_unsigned(&p);
    else if (!constants.corrections && constants.requantization.is_plain)
        multiply_signed(&p);
    else
        multiply_signed_any(&p);
}

TARGET void eo_hybrid_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    struct product p = {.tile = t, .element = sizeof(float), .heads = 3};
    if (t->row_parameters_stride == 0) p.bias_factor = -eo_hybrid_row_of(t, 0)->zero_point;
    multiply_unsigned(&p);
}
#endif
