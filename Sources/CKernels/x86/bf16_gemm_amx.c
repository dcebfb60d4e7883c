#if defined(__x86_64__)
#include "tile_products.h"

// Floats that began with the bias.
static inline __attribute__((always_inline)) TARGET void leave_pair(const int fast, const struct product *p,
                                                                    const struct block *b, struct pair pair) {
    (void)fast;
    const struct eo_f32_gemm_parameters *limits = p->tile->parameters;
    const vec low = vec_set(limits->minimum), high = vec_set(limits->maximum);
    const uint32_t mask = _bzhi_u32(~0u, (unsigned)b->columns);
    for (size_t i = 0; i <= pair.below; i++) {
        const float *sums = (const float *)(pair.sums + i * NR);
        float *output = (float *)(b->output + (pair.row + i) * p->tile->output_stride);
        const vec left = vec_load(sums), right = vec_load(sums + LANES);
        _mm512_mask_storeu_ps(output, (__mmask16)mask, vec_clamp(left, low, high));
        _mm512_mask_storeu_ps(output + LANES, (__mmask16)(mask >> LANES), vec_clamp(right, low, high));
    }
}

TARGET void eo_bf16_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    struct product p = {.tile = t, .element = sizeof(float), .heads = 1, .has_bias = true};
    tile_products(BFLOATS, 1, &p);
}
#endif
