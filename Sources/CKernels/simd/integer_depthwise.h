// Body of the 8-bit and 16-bit depthwise convolutions over an integer vocabulary and these words:
//   number                        activations and results: uint8_t or int16_t
//   parameters                    of the kernel
//   WEIGHT_ZERO_POINT(p)
//   TAPS, CHANNELS                multiplied at once
//   element                       of the weights
//   group_load(v, x, p, part)     interleaves TAPS runs of CHANNELS numbers into TAPS vectors of sums' lanes; only so
//                                 many numbers are read where `part` is not 0. For two taps, row_load(x, p, part)
//                                 instead: a run as 16-bit numbers
//   group_dot(sum, v, w)          sum + v * w
//   group_store(to, q, p, part)   adds the zero point, limits from below, stores CHANNELS numbers, or `part`
// Limiting from above comes before rounding, while the numbers are floats: it keeps them convertible. The saturating
// arithmetic below does the rest, so the result is that of the contract.
#include "depthwise.h"

#if TAPS == 2
SIMD void group_load(ivec v[TAPS], const number *const x[TAPS], const parameters *p, size_t part) {
    const ivec first = row_load(x[0], p, part), second = row_load(x[1], p, part);
    v[0] = words_zip_low(first, second);
    v[1] = words_zip_high(first, second);
}
#endif

// How many taps of a group there are: groups of four take those of a 3x3 kernel by rows.
SIMD size_t taps_at(const struct eo_depthwise_run *r, size_t group) {
    const size_t each = eo_depthwise_group(TAPS, r->taps), left = r->taps - group * each;
    return left < each ? left : each;
}

// The sums of `taps` rows of activations alone, for weights with a zero point.
SIMD void add_taps(ivec sum[TAPS], const ivec v[TAPS], size_t count) {
    element ones[TAPS];
    for (size_t t = 0; t < TAPS; t++) ones[t] = t < count;
    int32_t all = 0;
    __builtin_memcpy(&all, ones, sizeof ones);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) sum[i] = group_dot(sum[i], v[i], ivec_set(all));
}

// Sums become results.
SIMD void finish_block(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t part, ivec sum[TAPS],
                       const ivec *tap_sum, const float *scale) {
    const parameters *p = r->parameters;
    const vec high = vec_set(p->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        if (tap_sum && WEIGHT_ZERO_POINT(p) != 0)
            sum[i] = ivec_add(sum[i], ivec_multiply(tap_sum[i], ivec_set(-WEIGHT_ZERO_POINT(p))));
        sum[i] = vec_round(vec_min(vec_multiply(ivec_to_float(sum[i]), vec_load(scale + i * LANES)), high));
    }
    group_store((number *)((char *)r->output + pixel * r->output_stride) + channel, sum, p, part);
}

// Taps are in the order of groups.
SIMD void block_of_channels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t part,
                            const char *block) {
    const parameters *p = r->parameters;
    const int32_t *bias = (const int32_t *)block;
    const float *scale = (const float *)(bias + CHANNELS);
    const element *w = (const element *)(scale + CHANNELS);
    ivec sum[TAPS], tap_sum[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        sum[i] = ivec_load(bias + i * LANES);
        tap_sum[i] = ivec_set(0);
    }
    const size_t each = eo_depthwise_group(TAPS, r->taps);
    for (size_t group = 0; group * each < r->taps; group++, w += CHANNELS * TAPS) {
        const number *x[TAPS];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < TAPS; i++) {
            // Taps that fill up a group have weights of zero: any readable row will do.
            const size_t next = group * each + i, t = next < r->taps ? next : 0;
            x[i] = (const number *)((const char *)r->tap[t] + pixel * r->step[t]) + channel;
        }
        ivec v[TAPS];
        group_load(v, x, p, part);
#pragma clang loop unroll(full)
        for (int i = 0; i < TAPS; i++)
            sum[i] = group_dot(sum[i], v[i], ivec_load((const int32_t *)(w + i * LANES * TAPS)));
        if (WEIGHT_ZERO_POINT(p) != 0) add_taps(tap_sum, v, taps_at(r, group));
    }
    finish_block(r, pixel, channel, part, sum, tap_sum, scale);
}

// The channels of neighbouring pixels lie side by side.
SIMD bool is_dense(const struct eo_depthwise_run *r) {
    bool dense = r->output_stride == r->channels * sizeof(number);
    for (size_t t = 0; dense && t < r->taps; t++) dense = r->step[t] == r->output_stride;
    return dense;
}

#if defined(PAIR) || TAPS == 2
// 3x3 kernels of which neighbouring pixels share two taps of three in each row (or all are padding).
SIMD bool shares_taps(const struct eo_depthwise_run *r) {
    const parameters *p = r->parameters;
    bool shares = r->taps == 9 && r->channels >= CHANNELS && WEIGHT_ZERO_POINT(p) == 0;
    for (size_t t = 0; shares && t < 9; t++)
        shares = r->step[t] == r->step[t / 3 * 3] &&
                 (const char *)r->tap[t] == (const char *)r->tap[t / 3 * 3] + t % 3 * r->step[t];
    return shares;
}
#endif

#ifdef PAIR
// Two neighbouring pixels: the second one's weights are the first one's, moved by a tap.
SIMD void pair_of_pixels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, const char *block) {
    const parameters *p = r->parameters;
    const int32_t *bias = (const int32_t *)block;
    const float *scale = (const float *)(bias + CHANNELS);
    const element *w = (const element *)(scale + CHANNELS);
    ivec first[TAPS], second[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) first[i] = second[i] = ivec_load(bias + i * LANES);
    for (size_t row = 0; row < 3; row++, w += CHANNELS * TAPS) {
        const number *x[TAPS];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < TAPS; i++)
            x[i] = (const number *)((const char *)r->tap[3 * row] + (pixel + i) * r->step[3 * row]) + channel;
        ivec v[TAPS];
        group_load(v, x, p, 0);
#pragma clang loop unroll(full)
        for (int i = 0; i < TAPS; i++) {
            const ivec weights = ivec_load((const int32_t *)(w + i * LANES * TAPS));
            first[i] = group_dot(first[i], v[i], weights);
            second[i] = group_dot(second[i], v[i], PAIR(weights));
        }
    }
    finish_block(r, pixel, channel, 0, first, NULL, scale);
    finish_block(r, pixel + 1, channel, 0, second, NULL, scale);
}
#endif

static __attribute__((noinline)) TARGET void part_block(const struct eo_depthwise_run *r, size_t pixel,
                                                        const char *block) {
    block_of_channels(r, pixel, 0, r->channels, block);
}

// Blocks of weights: those of channels in their order, and the last channels' again.
struct weight_blocks {
    const char *first, *last;
    size_t size;
};

// `all` channels of one pixel, or of some that lie side by side and fill whole blocks.
SIMD void channels_of_pixel(const struct eo_depthwise_run *r, size_t pixel, size_t all, const struct weight_blocks *b) {
    if (all < CHANNELS) {
        part_block(r, pixel, b->first);
        return;
    }
    const char *block = b->first;
    for (size_t channel = 0; channel < all; channel += CHANNELS, block += b->size) {
        if (channel + CHANNELS > all) channel = all - CHANNELS, block = b->last;
        block_of_channels(r, pixel, channel, 0, block);
    }
}

#if TAPS == 2
enum { QUAD = 4 };

// Weights a, b, c of a kernel row as even pixels meet them in pairs of inputs, a b and c 0, and odd ones, 0 a and b c.
struct row_pairs {
    ivec even[2][TAPS], odd[2][TAPS];
};

SIMD void arrange_rows(const element *w_, struct row_pairs rows[3]) {
#pragma clang loop unroll(disable)
    for (int i = 0; i < TAPS; i++) {
        const int32_t *w = (const int32_t *)w_ + i * LANES;
        const ivec thirds = ivec_load(w + 3 * CHANNELS);
        const ivec third[3] = {words_down(words_up(thirds)), words_down(thirds), ivec_load(w + 4 * CHANNELS)};
#pragma clang loop unroll(full)
        for (int j = 0; j < 3; j++) {
            const ivec two = ivec_load(w + j * CHANNELS);
            rows[j].even[0][i] = two;
            rows[j].even[1][i] = third[j];
            rows[j].odd[0][i] = words_up(two);
            rows[j].odd[1][i] = ivec_or(words_down(two), words_up(third[j]));
        }
    }
}

SIMD void quad_of_pixels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, const int32_t *bias,
                         const float *scale, const struct row_pairs rows[3]) {
    const parameters *p = r->parameters;
    ivec sum[QUAD][TAPS];
#pragma clang loop unroll(full)
    for (int k = 0; k < QUAD; k++)
        for (int i = 0; i < TAPS; i++) sum[k][i] = ivec_load(bias + i * LANES);
#pragma clang loop unroll(full)
    for (int j = 0; j < 3; j++) {
        const size_t step = r->step[3 * j];
        const char *at = (const char *)((const number *)((const char *)r->tap[3 * j] + pixel * step) + channel);
        ivec v[3][TAPS];
#pragma clang loop unroll(full)
        for (int k = 0; k < 3; k++, at += 2 * step) {
            const number *const x[TAPS] = {(const number *)at, (const number *)(at + step)};
            group_load(v[k], x, p, 0);
        }
#pragma clang loop unroll(full)
        for (int k = 0; k < QUAD; k++)
#pragma clang loop unroll(full)
            for (int i = 0; i < 2 * TAPS; i++) {
                const ivec w = k % 2 ? rows[j].odd[i / 2][i % 2] : rows[j].even[i / 2][i % 2];
                sum[k][i % 2] = group_dot(sum[k][i % 2], v[k / 2 + i / 2][i % 2], w);
            }
    }
#pragma clang loop unroll(full)
    for (int k = 0; k < QUAD; k++) finish_block(r, pixel + (size_t)k, channel, 0, sum[k], NULL, scale);
}

// So many pixels, at least a quad, by blocks of channels.
SIMD void quads(const struct eo_depthwise_run *r, size_t pixels, const struct weight_blocks *b) {
    const char *block = b->first;
    for (size_t channel = 0; channel < r->channels; channel += CHANNELS, block += b->size) {
        if (channel + CHANNELS > r->channels) channel = r->channels - CHANNELS, block = b->last;
        const int32_t *bias = (const int32_t *)block;
        const float *scale = (const float *)(bias + CHANNELS);
        struct row_pairs rows[3];
        arrange_rows((const element *)(scale + CHANNELS), rows);
        for (size_t pixel = 0; pixel < pixels; pixel += QUAD) {
            const struct row_pairs *same = rows;
            // Weights loaded before the loop would only be stored again.
            __asm__("" : "+r"(same));
            // The last ones go with some that are done already.
            if (pixel + QUAD > pixels) pixel = pixels - QUAD;
            quad_of_pixels(r, pixel, channel, bias, scale, same);
        }
    }
}
#endif

#ifdef PAIR
SIMD void channels_of_pair(const struct eo_depthwise_run *r, size_t pixel, const struct weight_blocks *b) {
    const char *block = b->first;
    for (size_t channel = 0; channel < r->channels; channel += CHANNELS, block += b->size) {
        if (channel + CHANNELS > r->channels) channel = r->channels - CHANNELS, block = b->last;
        pair_of_pixels(r, pixel, channel, block);
    }
}
#endif

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    const size_t each = eo_depthwise_group(TAPS, r->taps), groups = (r->taps + each - 1) / each;
    struct weight_blocks blocks = {
        .first = r->weights,
        .size = CHANNELS * (sizeof(int32_t) + sizeof(float) + groups * TAPS * sizeof(element)),
    };
    blocks.last = blocks.first + eo_depthwise_blocks(TAPS, CHANNELS, r->channels).whole * blocks.size;
    size_t pixel = 0, together = eo_depthwise_pixels(TAPS, CHANNELS, r->channels);
    if (r->pixels < together || !is_dense(r)) together = 1;
#if TAPS == 2
    if (r->pixels >= QUAD && shares_taps(r)) {
        pixel = r->pixels % QUAD == 1 ? r->pixels - 1 : r->pixels;
        quads(r, pixel, &blocks);
    }
#elif defined(PAIR)
    if (together == 1 && shares_taps(r))
        for (; pixel + 2 <= r->pixels; pixel += 2) channels_of_pair(r, pixel, &blocks);
#endif
    struct eo_depthwise_run ordered = *r;
#if TAPS == 2
    const void *tap[9];
    size_t step[9];
    if (r->taps == 9) {
        for (size_t i = 0; i < 9; i++) {
            const size_t t = eo_depthwise_tap(TAPS, 9, i);
            tap[i] = r->tap[t], step[i] = r->step[t];
        }
        ordered.tap = tap, ordered.step = step;
    }
#endif
    for (; pixel < r->pixels; pixel += together) {
        // The last ones go with some that are done already.
        if (pixel + together > r->pixels) pixel = r->pixels - together;
        channels_of_pixel(&ordered, pixel, together * r->channels, &blocks);
    }
}
