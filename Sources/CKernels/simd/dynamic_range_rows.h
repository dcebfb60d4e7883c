// Bodies of the dynamic range kernels over an integer vocabulary. Include after the vocabulary.
#include "dynamic_range.h"

enum { CHAINS = 4 };

SIMD struct eo_range find_range(const float *x, size_t count) {
    // Each waits for the one before: neighbours go to others.
    vec low[CHAINS], high[CHAINS], check[CHAINS];
    const vec zero = vec_set(0);
    for (int j = 0; j < CHAINS; j++) low[j] = high[j] = check[j] = zero;
    size_t i = 0;
    for (; i + CHAINS * LANES <= count; i += CHAINS * LANES)
#pragma clang loop unroll(full)
        for (int j = 0; j < CHAINS; j++) {
            const vec v = vec_load(x + i + j * LANES);
            low[j] = vec_min(low[j], v), high[j] = vec_max(high[j], v), check[j] = vec_fma(v, zero, check[j]);
        }
    for (; i < count; i += LANES) {
        // Lanes beyond the end are 0, which changes nothing.
        const vec v = count - i >= LANES ? vec_load(x + i) : vec_load_part(x + i, count - i);
        low[0] = vec_min(low[0], v), high[0] = vec_max(high[0], v), check[0] = vec_fma(v, zero, check[0]);
    }
    for (int j = 1; j < CHAINS; j++) {
        low[0] = vec_min(low[0], low[j]), high[0] = vec_max(high[0], high[j]);
        check[0] = vec_add(check[0], check[j]);
    }
    float lows[LANES], highs[LANES], checks[LANES];
    vec_store(lows, low[0]);
    vec_store(highs, high[0]);
    vec_store(checks, check[0]);
    struct eo_range range = {0, 0, 0};
    for (int j = 0; j < LANES; j++) {
        range.low = lows[j] < range.low ? lows[j] : range.low;
        range.high = highs[j] > range.high ? highs[j] : range.high;
        range.check += checks[j];
    }
    return range;
}

SIMD float quantize(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    const vec inverse = vec_set(grid->inverse), offset = vec_set(grid->offset);
    const vec low = vec_set(grid->low), high = vec_set(127), zero = vec_set(0);
    vec check = zero;
    for (size_t i = 0; i < count; i += LANES) {
        const size_t part = count - i;
        const vec v = part >= LANES ? vec_load(x + i) : vec_load_part(x + i, part);
        const vec y = vec_clamp(vec_add(offset, vec_multiply(v, inverse)), low, high);
        ivec_store_bytes(q + i, ivec_add(vec_round_away(y), ivec_set(128)), part);
        check = vec_fma(v, zero, check);
    }
    float checks[LANES];
    vec_store(checks, check);
    for (int j = 1; j < LANES; j++) checks[0] += checks[j];
    return checks[0];
}
