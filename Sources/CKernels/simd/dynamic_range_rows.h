// Bodies of the dynamic range kernels over an integer vocabulary. Include after the vocabulary.
#include "dynamic_range.h"

SIMD struct eo_range find_range(const float *x, size_t count) {
    vec low = vec_set(0), high = vec_set(0), check = vec_set(0);
    const vec zero = vec_set(0);
    size_t i = 0;
    for (; i < count; i += LANES) {
        // Lanes beyond the end are 0, which changes nothing.
        const vec v = count - i >= LANES ? vec_load(x + i) : vec_load_part(x + i, count - i);
        low = vec_min(low, v);
        high = vec_max(high, v);
        check = vec_fma(v, zero, check);
    }
    float lows[LANES], highs[LANES], checks[LANES];
    vec_store(lows, low);
    vec_store(highs, high);
    vec_store(checks, check);
    struct eo_range range = {0, 0, 0};
    for (int j = 0; j < LANES; j++) {
        range.low = lows[j] < range.low ? lows[j] : range.low;
        range.high = highs[j] > range.high ? highs[j] : range.high;
        range.check += checks[j];
    }
    return range;
}

SIMD void quantize(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    const vec inverse = vec_set(grid->inverse), offset = vec_set(grid->offset);
    const vec low = vec_set(grid->low), high = vec_set(127);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t part = count - i;
        const vec v = part >= LANES ? vec_load(x + i) : vec_load_part(x + i, part);
        const vec y = vec_clamp(vec_add(offset, vec_multiply(v, inverse)), low, high);
        ivec_store_bytes(q + i, ivec_add(vec_round_away(y), ivec_set(128)), part);
    }
}
