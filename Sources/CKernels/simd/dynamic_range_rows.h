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
    // In halves: one after the other they would take longer than hundreds of numbers do.
#pragma clang loop unroll(full)
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) {
            lows[j] = lows[j + half] < lows[j] ? lows[j + half] : lows[j];
            highs[j] = highs[j + half] > highs[j] ? highs[j + half] : highs[j];
            checks[j] += checks[j + half];
        }
    return (struct eo_range){lows[0], highs[0], checks[0]};
}

// The first `count` of as many numbers as four vectors hold; those behind are 0.
SIMD vec quantize_some(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count, vec check) {
    const vec inverse = vec_set(grid->inverse), offset = vec_set(grid->offset), high = vec_set(127);
    const ivec low = ivec_set_bytes((int8_t)grid->low), flip = ivec_set_bytes(-128);
    ivec numbers[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        const vec v = vec_load(x + j * LANES);
        numbers[j] = vec_round_away(vec_min(vec_add(offset, vec_multiply(v, inverse)), high));
        check = vec_fma(v, vec_set(0), check);
    }
    const ivec bytes = bytes_clamp(ivec_bytes(numbers, ivec_set_words(0)), low, ivec_set_bytes(127));
    bytes_store(q, ivec_xor(bytes, flip), 1, 0, count);
    return check;
}

SIMD float quantize(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    enum { SOME = 4 * LANES };
    vec check = vec_set(0);
    size_t i = 0;
    for (; i + SOME <= count; i += SOME) check = quantize_some(grid, x + i, q + i, SOME, check);
    if (i < count) {
        float rest[SOME] = {0};
        __builtin_memcpy(rest, x + i, (count - i) * sizeof *x);
        check = quantize_some(grid, rest, q + i, count - i, check);
    }
    float checks[LANES];
    vec_store(checks, check);
#pragma clang loop unroll(full)
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) checks[j] += checks[j + half];
    return checks[0];
}
