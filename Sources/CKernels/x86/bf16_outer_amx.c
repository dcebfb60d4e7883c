#if defined(__x86_64__)
#include "gemm.h"

#include <immintrin.h>

#define TARGET                                                                                                         \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,bmi2,fma,f16c")))
#define SIMD static inline __attribute__((always_inline)) TARGET

enum { SIDE = 16, LINE = 64 };

// A square of words, in four rounds of exchanges.
SIMD void transpose(__m512i x[SIDE]) {
    __m512i y[SIDE];
#pragma clang loop unroll(full)
    for (int i = 0; i < SIDE; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < SIDE; i += 4)
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + j + 2]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + j + 2]);
        }
        // Now lane l of x[4 g + k] is column 4 l + k of the rows 4 g ... 4 g + 3.
#pragma clang loop unroll(full)
    for (int k = 0; k < 4; k++) {
        const __m512i a = _mm512_shuffle_i32x4(x[k], x[k + 4], 0x88), b = _mm512_shuffle_i32x4(x[k], x[k + 4], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0xdd);
        y[k] = _mm512_shuffle_i32x4(a, c, 0x88), y[k + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        y[k + 8] = _mm512_shuffle_i32x4(a, c, 0xdd), y[k + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < SIDE; i++) x[i] = y[i];
}

// Two pixels of 16 channels: pairs of numbers.
SIMD __m512i pair(const float *first, size_t step, size_t count, __mmask16 channels) {
    static const _Alignas(64) uint16_t places[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512 low = _mm512_maskz_loadu_ps(count > 0 ? channels : 0, first);
    const __m512 high = _mm512_maskz_loadu_ps(count > 1 ? channels : 0, first + step);
    return _mm512_permutexvar_epi16(_mm512_load_si512(places), (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

static inline __mmask16 mask_of(size_t count) { return (__mmask16)(count < SIDE ? (1u << count) - 1 : 0xffff); }

TARGET void eo_bf16_pairs__amx(const struct eo_bf16_line *l) {
    for (size_t c = 0; c < l->channels; c += SIDE) {
        const __mmask16 channels = mask_of(l->channels - c);
        const float *from = l->from + c;
        uint16_t *to = l->to + c / SIDE * l->to_step;
        size_t p = 0;
        for (; p + 2 <= l->pixels; p += 2, from += 2 * l->step, to += 2 * SIDE)
            _mm512_storeu_si512(to, pair(from, l->step, 2, channels));
        for (; p < l->filled; p += 2, to += 2 * SIDE)
            _mm512_storeu_si512(to, pair(from, l->step, p < l->pixels ? 1 : 0, channels));
    }
}

TARGET void eo_bf16_rows__amx(const struct eo_bf16_line *l) {
    for (size_t c = 0; c < l->channels; c += SIDE) {
        const size_t rows = l->channels - c < SIDE ? l->channels - c : SIDE;
        const __mmask16 channels = mask_of(rows);
        for (size_t p = 0; p < l->pixels; p += 2 * SIDE) {
            const size_t left = l->pixels - p;
            const float *from = l->from + p * l->step + c;
            __m512i x[SIDE];
            for (size_t i = 0; i < SIDE; i++)
                x[i] = pair(from + 2 * i * l->step, l->step, left > 2 * i ? left - 2 * i : 0, channels);
            transpose(x);
            const __mmask32 pixels = left >= 2 * SIDE ? ~0u : (1u << left) - 1;
            uint16_t *to = l->to + c * l->to_step + p;
            for (size_t i = 0; i < rows; i++, to += l->to_step) _mm512_mask_storeu_epi16(to, pixels, x[i]);
        }
    }
}

TARGET void eo_f32_to_bf16__amx(size_t count, const float *x, uint16_t *y) {
    size_t i = 0;
    for (; i + 2 * SIDE <= count; i += 2 * SIDE)
        _mm512_storeu_si512(y + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + SIDE), _mm512_loadu_ps(x + i)));
    for (; i < count; i += SIDE) {
        const __mmask16 mask = mask_of(count - i);
        _mm256_mask_storeu_epi16(y + i, mask, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i)));
    }
}

struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Registers: sums 2 r and 2 r + 1 of row r, its factor in 6, a half of the columns in 7.
SIMD void configure(size_t height) {
    struct tile_configuration c = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        c.rows[tile] = tile == 7 ? SIDE : (uint8_t)height;
        c.row_bytes[tile] = LINE;
    }
    _tile_loadconfig(&c);
}

#define ROW(R)                                                                                                         \
    if (rows > R) {                                                                                                    \
        _tile_loadd(6, (const char *)t->a[R] + a, a_step);                                                             \
        _tile_loadd(7, b, LINE);                                                                                       \
        _tile_dpbf16ps(2 * R, 6, 7);                                                                                   \
        if (halves > 1) {                                                                                              \
            _tile_loadd(7, b + half, LINE);                                                                            \
            _tile_dpbf16ps(2 * R + 1, 6, 7);                                                                           \
        }                                                                                                              \
    }
#define START(SUM) _tile_loadd(SUM, zeros, LINE)
#define STORE(R)                                                                                                       \
    if (rows > R) {                                                                                                    \
        _tile_stored(2 * R, sums[2 * R], LINE);                                                                        \
        if (halves > 1) _tile_stored(2 * R + 1, sums[2 * R + 1], LINE);                                                \
    }

static TARGET void products(const struct eo_bf16_outer_tile *t, size_t halves, float (*sums)[SIDE][SIDE]) {
    static const _Alignas(64) float zeros[SIDE * SIDE];
    const size_t rows = t->rows, a_step = t->a_step * sizeof(uint16_t), half = t->b_step * sizeof(uint16_t);
    START(0), START(1), START(2), START(3), START(4), START(5);
    for (size_t image = 0; image < t->images; image++) {
        const char *b = (const char *)(t->b + image * t->b_image);
        size_t a = image * t->a_image * sizeof(uint16_t);
        for (size_t step = 0; step < t->steps; step++, a += LINE, b += SIDE * LINE) {
            ROW(0)
            ROW(1)
            ROW(2)
        }
    }
    STORE(0)
    STORE(1)
    STORE(2)
}

// A square of sums, turned, goes to its place.
static TARGET void leave(const struct eo_bf16_outer_tile *t, size_t row, size_t half, float (*sums)[SIDE]) {
    const size_t columns = t->columns - half * SIDE < SIDE ? t->columns - half * SIDE : SIDE;
    const __mmask16 mask = mask_of(t->height[row]);
    float *output = t->output[row] + half * SIDE * t->output_step;
    __m512i x[SIDE];
    for (size_t i = 0; i < SIDE; i++) x[i] = _mm512_load_si512(sums[i]);
    transpose(x);
    for (size_t j = 0; j < columns; j++, output += t->output_step) {
        __m512 y = (__m512)x[j];
        if (t->adds) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, output));
        _mm512_mask_storeu_ps(output, mask, y);
    }
}

TARGET void eo_bf16_outer__amx(const struct eo_bf16_outer_tile *t) {
    _Alignas(64) float sums[2 * EO_OUTER_ROWS][SIDE][SIDE];
    const size_t halves = t->columns > SIDE ? 2 : 1;
    size_t height = 1;
    for (size_t r = 0; r < t->rows; r++) height = t->height[r] > height ? t->height[r] : height;
    configure(height);
    products(t, halves, sums);
    _tile_release();
    for (size_t r = 0; r < t->rows; r++)
        for (size_t half = 0; half < halves; half++) leave(t, r, half, sums[2 * r + half]);
}
#endif
