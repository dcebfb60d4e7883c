#if defined(__x86_64__)
#include "tile_products.h"

// Floats that began with the bias.
static inline __attribute__((always_inline)) TARGET void leave_rows(const int fast, const struct product *p,
                                                                    const struct leaving *l) {
    (void)fast;
    const struct eo_f32_gemm_parameters *limits = p->tile->parameters;
    const vec low = vec_set(limits->minimum), high = vec_set(limits->maximum);
    const uint32_t mask = _bzhi_u32(~0u, (unsigned)l->columns);
    vec x[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++)
        x[i] = vec_clamp(vec_load((const float *)l->sums + i / 2 * TILE_ROWS * NR + i % 2 * LANES), low, high);
    if (p->tile->rounds) {
        char *lower = l->output + l->below * (ptrdiff_t)p->tile->output_stride;
        _mm512_mask_storeu_epi16(l->output, mask, (__m512i)_mm512_cvtne2ps_pbh(x[1], x[0]));
        _mm512_mask_storeu_epi16(lower, mask, (__m512i)_mm512_cvtne2ps_pbh(x[3], x[2]));
        return;
    }
    float *output = (float *)l->output;
    _mm512_mask_storeu_ps(output, (__mmask16)mask, x[0]);
    _mm512_mask_storeu_ps(output + LANES, (__mmask16)(mask >> LANES), x[1]);
    output = (float *)(l->output + l->below * (ptrdiff_t)p->tile->output_stride);
    _mm512_mask_storeu_ps(output, (__mmask16)mask, x[2]);
    _mm512_mask_storeu_ps(output + LANES, (__mmask16)(mask >> LANES), x[3]);
}

TARGET void eo_bf16_gemm_32x32__amx(const struct eo_gemm_tile *tile) {
    struct eo_gemm_tile t = *tile;
    // A piece for each step.
    if (t.in_tiles) t.segments = t.input_stride / TILE_BYTES, t.segment_stride = EO_BF16X3_TILE;
    struct product p = {
        .tile = &t, .element = t.rounds ? sizeof(uint16_t) : sizeof(float), .heads = 1, .bias_factor = 1};
    tile_products(BFLOATS, 1, &p);
}
#endif
