#if defined(__x86_64__)
// Sums of 32 bits. Interleaving two taps leaves channels 0-3, 8-11, ... in one vector and 4-7, 12-15, ... in the other,
// and packing puts them in order again.
#include "../simd/i32_avx512.h"
#include "depthwise.h"

enum { CHANNELS = 32, TOGETHER = 4, MAX_TAPS = 255 };

// A block's channels of a run.
struct channels {
    const struct eo_depthwise_run *run;
    size_t first;
    __mmask32 mask;
    const int32_t *bias;
    const float *scale;
    const int32_t *weights; // pairs
};

// VNNI, whose sums take longer to come back, is not faster.
SIMD ivec pairs_dot(ivec sum, ivec v, ivec w) { return ivec_add(sum, _mm512_madd_epi16(v, w)); }

SIMD ivec tap_load(const struct channels *c, const char *pixel) {
    return _mm512_maskz_loadu_epi16(c->mask, (const int16_t *)pixel + c->first);
}

SIMD void leave(const struct channels *c, size_t pixel, const ivec sum[2]) {
    const struct eo_s16_parameters *p = c->run->parameters;
    ivec q[2];
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) q[i] = vec_round(vec_multiply(ivec_to_float(sum[i]), vec_load(c->scale + i * LANES)));
    const ivec words = _mm512_max_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_set1_epi16((int16_t)p->minimum));
    _mm512_mask_storeu_epi16((int16_t *)((char *)c->run->output + pixel * c->run->output_stride) + c->first, c->mask,
                             _mm512_min_epi16(words, _mm512_set1_epi16((int16_t)p->maximum)));
}

// `tap`: in the order of the weights, an even number.
SIMD void one_pixel(const struct channels *c, const char *const *tap, size_t pixel) {
    ivec sum[2] = {ivec_load(c->bias), ivec_load(c->bias + LANES)};
    const int32_t *w = c->weights;
    for (size_t i = 0; i < c->run->taps; i += 2, w += CHANNELS) {
        const ivec x = tap_load(c, tap[i]), y = tap_load(c, tap[i + 1]);
        sum[0] = pairs_dot(sum[0], _mm512_unpacklo_epi16(x, y), ivec_load(w));
        sum[1] = pairs_dot(sum[1], _mm512_unpackhi_epi16(x, y), ivec_load(w + LANES));
    }
    leave(c, pixel, sum);
}

// 3x3 kernels of which neighbouring pixels share two taps of three in each row (or all are padding).
SIMD bool shares_taps(const struct eo_depthwise_run *r) {
    bool shares = r->taps == 9 && r->pixels >= TOGETHER;
    for (size_t t = 0; shares && t < 9; t++)
        shares = r->step[t] == r->step[t / 3 * 3] &&
                 (const char *)r->tap[t] == (const char *)r->tap[t / 3 * 3] + t % 3 * r->step[t];
    return shares;
}

// Weights a, b, c of a kernel row as even pixels meet them in pairs of inputs, a b and c 0, and odd ones, 0 a and b c.
struct row_pairs {
    ivec even[2][2], odd[2][2];
};

SIMD void arrange_rows(const struct channels *c, struct row_pairs rows[3]) {
#pragma clang loop unroll(disable)
    for (int i = 0; i < 2; i++) {
        const int32_t *w = c->weights + i * LANES;
        const ivec thirds = ivec_load(w + 3 * CHANNELS);
        const ivec third[3] = {_mm512_and_si512(thirds, ivec_set(0xffff)), _mm512_srli_epi32(thirds, 16),
                               ivec_load(w + 4 * CHANNELS)};
#pragma clang loop unroll(full)
        for (int j = 0; j < 3; j++) {
            const ivec two = ivec_load(w + j * CHANNELS);
            rows[j].even[0][i] = two;
            rows[j].even[1][i] = third[j];
            rows[j].odd[0][i] = _mm512_slli_epi32(two, 16);
            rows[j].odd[1][i] = _mm512_or_si512(_mm512_srli_epi32(two, 16), _mm512_slli_epi32(third[j], 16));
        }
    }
}

SIMD void four_pixels(const struct channels *c, const struct row_pairs rows[3], size_t pixel) {
    ivec sum[TOGETHER][2];
#pragma clang loop unroll(full)
    for (int p = 0; p < TOGETHER; p++)
        for (int i = 0; i < 2; i++) sum[p][i] = ivec_load(c->bias + i * LANES);
#pragma clang loop unroll(full)
    for (int j = 0; j < 3; j++) {
        const char *at = (const char *)c->run->tap[3 * j] + pixel * c->run->step[3 * j];
        ivec v[3][2];
#pragma clang loop unroll(full)
        for (int k = 0; k < 3; k++) {
            const ivec x = tap_load(c, at), y = tap_load(c, at + c->run->step[3 * j]);
            at += 2 * c->run->step[3 * j];
            v[k][0] = _mm512_unpacklo_epi16(x, y);
            v[k][1] = _mm512_unpackhi_epi16(x, y);
        }
#pragma clang loop unroll(full)
        for (int p = 0; p < TOGETHER; p++)
#pragma clang loop unroll(full)
            for (int i = 0; i < 4; i++) {
                const ivec w = p % 2 ? rows[j].odd[i / 2][i % 2] : rows[j].even[i / 2][i % 2];
                sum[p][i % 2] = pairs_dot(sum[p][i % 2], v[p / 2 + i / 2][i % 2], w);
            }
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < TOGETHER; p++) leave(c, pixel + (size_t)p, sum[p]);
}

SIMD void point_block(struct channels *c) {
    const size_t left = c->run->channels - c->first;
    c->mask = left < CHANNELS ? (1u << left) - 1 : ~0u;
    c->scale = (const float *)(c->bias + CHANNELS);
    c->weights = (const int32_t *)(c->scale + CHANNELS);
}

SIMD struct channels first_block(const struct eo_depthwise_run *r) {
    struct channels c = {.run = r, .bias = r->weights};
    point_block(&c);
    return c;
}

SIMD void next_block(struct channels *c) {
    const size_t pairs = (c->run->taps + 1) / 2;
    c->first += CHANNELS;
    c->bias = c->weights + pairs * CHANNELS;
    point_block(c);
}

TARGET void eo_s16_depthwise_2x32__avx512(const struct eo_depthwise_run *r) {
    size_t done = 0;
    if (shares_taps(r)) {
        done = r->pixels % TOGETHER == 1 ? r->pixels - 1 : r->pixels;
        for (struct channels c = first_block(r); c.first < r->channels; next_block(&c)) {
            struct row_pairs rows[3];
            arrange_rows(&c, rows);
            for (size_t pixel = 0; pixel < done; pixel += TOGETHER) {
                const struct row_pairs *same = rows;
                // Weights loaded before the loop would only be stored again.
                __asm__("" : "+r"(same));
                // The last ones go with some that are done already.
                if (pixel + TOGETHER > done) pixel = done - TOGETHER;
                four_pixels(&c, same, pixel);
            }
        }
    }
    for (size_t pixel = done; pixel < r->pixels; pixel++) {
        const char *tap[MAX_TAPS + 1];
        for (size_t i = 0; i < r->taps; i++) {
            const size_t t = eo_s16_depthwise_tap(r->taps, i);
            // The last one's partner has weights of zero: any readable row will do.
            tap[i] = tap[i + 1] = (const char *)r->tap[t] + pixel * r->step[t];
        }
        for (struct channels c = first_block(r); c.first < r->channels; next_block(&c)) one_pixel(&c, tap, pixel);
    }
}
#endif
