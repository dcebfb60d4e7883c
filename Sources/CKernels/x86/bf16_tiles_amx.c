#if defined(__x86_64__)
#include "gemm.h"

#include <immintrin.h>
#include <math.h>

#define TARGET                                                                                                         \
    __attribute__((                                                                                                    \
        target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vbmi2,avx2,bmi2,fma,f16c")))
#define SIMD static inline __attribute__((always_inline)) TARGET

enum { SIDE = 16, LINE = 64 };

// A square of words, in four rounds of exchanges.
static __attribute__((noinline)) TARGET void transpose(__m512i x[SIDE]) {
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

static inline __mmask16 mask_of(size_t count) { return (__mmask16)(count < SIDE ? (1u << count) - 1 : 0xffff); }

// Two rows of 16 floats as pairs of numbers of bfloat16, rounded to nearest, ties to even.
SIMD __m512i rounded(__m512 low, __m512 high) {
    static const _Alignas(64) uint16_t places[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(places), (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

SIMD __m512 upper_of(__m512i bits) { return (__m512)_mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000)); }

// So that what is cut off rounds to nearest.
SIMD __m512i more(__m512 x) { return _mm512_add_epi32((__m512i)x, _mm512_set1_epi32(EO_BF16_HALF)); }
SIMD __m512 rest_of(__m512 x, __m512i part) { return _mm512_sub_ps(x, upper_of(part)); }

// All parts of two pixels, as pairs.
SIMD void parts_of(const int parts, __m512 low, __m512 high, __m512i words[EO_BF16_GRADIENT_PARTS]) {
    if (parts == 1) {
        words[0] = rounded(low, high);
        return;
    }
#pragma clang loop unroll(full)
    for (int part = 0; part < EO_BF16_GRADIENT_PARTS; part++) {
        const __m512i a = more(low), b = more(high);
        words[part] = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
        low = rest_of(low, a), high = rest_of(high, b);
    }
}

// A line of one image, times the scale; zeros where it has no pixels.
struct pixels {
    const float *from;
    size_t count;
};
SIMD struct pixels pixels_of(const struct eo_bf16_line *l, size_t image, size_t channel) {
    const size_t count = image + 1 < l->images ? l->pixels : image + 1 == l->images ? l->last : 0;
    return (struct pixels){l->from + image * l->image + channel, count};
}
// 16 channels of a pixel, which is none where its number has wrapped around.
SIMD __m512 pixel(const struct eo_bf16_line *l, struct pixels line, size_t number, __mmask16 channels) {
    return _mm512_mul_ps(_mm512_maskz_loadu_ps(number < line.count ? channels : 0, line.from + number * l->step),
                         _mm512_set1_ps(l->scale));
}

SIMD void pairs(const int parts, const struct eo_bf16_line *l) {
    for (size_t c = 0; c < l->channels; c += SIDE) {
        const __mmask16 channels = mask_of(l->channels - c);
        for (size_t a = 0; a < l->abreast; a++) {
            const struct pixels x = pixels_of(l, 2 * a, c), y = pixels_of(l, 2 * a + 1, c);
            uint16_t *to = l->to + c / SIDE * l->to_step + a * 2 * SIDE;
            size_t p = 0 - l->skip; // wrapped around before the first one
            for (size_t n = a; n < l->filled; n += l->abreast, p++, to += l->abreast * 2 * SIDE) {
                __m512i words[EO_BF16_GRADIENT_PARTS];
                parts_of(parts, pixel(l, x, p, channels), pixel(l, y, p, channels), words);
#pragma clang loop unroll(full)
                for (int part = 0; part < parts; part++) _mm512_storeu_si512(to + part * l->to_part, words[part]);
            }
        }
    }
}

TARGET void eo_bf16_pairs__amx(const struct eo_bf16_line *l) {
    if (l->parts == 1)
        pairs(1, l);
    else
        pairs(EO_BF16_GRADIENT_PARTS, l);
}

SIMD void rows(const int parts, const struct eo_bf16_line *l) {
    for (size_t c = 0; c < l->channels; c += SIDE) {
        const size_t count = l->channels - c < SIDE ? l->channels - c : SIDE;
        const __mmask16 channels = mask_of(count);
        __m512 sum = _mm512_setzero_ps(), others = sum;
        struct pixels at = pixels_of(l, 0, c), beside = pixels_of(l, 1, c);
        size_t p = 0, a = 0;
        for (size_t n = 0; n < l->filled; n += SIDE) {
            __m512i pixels[EO_BF16_GRADIENT_PARTS][SIDE];
            for (size_t i = 0; i < SIDE; i++) {
                const __m512 x = pixel(l, at, p, channels), y = pixel(l, beside, p, channels);
                __m512i words[EO_BF16_GRADIENT_PARTS];
                sum = _mm512_add_ps(sum, x), others = _mm512_add_ps(others, y);
                parts_of(parts, x, y, words);
#pragma clang loop unroll(full)
                for (int part = 0; part < parts; part++) pixels[part][i] = words[part];
                if (++a == l->abreast) p++, a = 0;
                if (l->abreast > 1) at = pixels_of(l, 2 * a, c), beside = pixels_of(l, 2 * a + 1, c);
            }
            uint16_t *to = l->to + c / SIDE * l->to_step + 2 * SIDE * n;
            for (int part = 0; part < parts; part++, to += l->to_part) {
                transpose(pixels[part]);
                for (size_t i = 0; i < count; i++) _mm512_storeu_si512(to + 2 * SIDE * i, pixels[part][i]);
            }
        }
        if (!l->sums) continue;
        sum = _mm512_add_ps(sum, others);
        _mm512_mask_storeu_ps(l->sums + c, channels, _mm512_add_ps(_mm512_maskz_loadu_ps(channels, l->sums + c), sum));
    }
}

TARGET void eo_bf16_rows__amx(const struct eo_bf16_line *l) {
    if (l->parts == 1)
        rows(1, l);
    else
        rows(EO_BF16_GRADIENT_PARTS, l);
}

TARGET void eo_bf16_split__amx(size_t count, const float *x, const float *scale, size_t parts, uint16_t *y,
                               size_t part) {
    static const _Alignas(64) uint16_t upper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                    33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    const __m512i half = _mm512_set1_epi32(parts < EO_BF16_PARTS ? EO_BF16_HALF : 0);
    for (size_t i = 0; i < count; i += 2 * SIDE) {
        const __mmask16 first = mask_of(count - i), second = count - i > SIDE ? mask_of(count - i - SIDE) : 0;
        __m512 a = _mm512_maskz_loadu_ps(first, x + i), b = _mm512_maskz_loadu_ps(second, x + i + SIDE);
        if (scale) {
            a = _mm512_mul_ps(a, _mm512_maskz_loadu_ps(first, scale + i));
            b = _mm512_mul_ps(b, _mm512_maskz_loadu_ps(second, scale + i + SIDE));
        }
        const __mmask32 mask = first | (__mmask32)second << SIDE;
        for (size_t p = 0; p < parts; p++) {
            const __m512i m = _mm512_add_epi32((__m512i)a, half), n = _mm512_add_epi32((__m512i)b, half);
            _mm512_mask_storeu_epi16(y + p * part + i, mask, _mm512_permutex2var_epi16(m, _mm512_load_si512(upper), n));
            a = rest_of(a, m), b = rest_of(b, n);
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

TARGET void eo_bf16_to_f32__amx(size_t count, const uint16_t *x, float *y) {
    for (size_t i = 0; i < count; i += SIDE) {
        const __mmask16 mask = mask_of(count - i);
        const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x + i));
        _mm512_mask_storeu_epi32(y + i, mask, _mm512_slli_epi32(wide, 16));
    }
}

struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Registers: sums 0, 1, 2, a part of their tiles in 3, 4, 5, parts of what they share in 6 and 7.
SIMD void configure(size_t height, size_t depth, bool shares_rows) {
    struct tile_configuration c = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        const bool is_columns = tile > 5 ? !shares_rows : tile > 2 && shares_rows;
        c.rows[tile] = (uint8_t)(is_columns ? depth / 2 : height);
        c.row_bytes[tile] = tile < 3 || is_columns ? LINE : (uint16_t)(2 * depth);
    }
    _tile_loadconfig(&c);
}

#define PRODUCT(R, TILE, SHARED)                                                                                       \
    do {                                                                                                               \
        if (shares_rows)                                                                                               \
            _tile_dpbf16ps(R, SHARED, TILE);                                                                           \
        else                                                                                                           \
            _tile_dpbf16ps(R, TILE, SHARED);                                                                           \
    } while (0)
// Products begin in their order, and each waits for the one before on the same sums: neighbours have others.
#define MULTIPLY(SHARED)                                                                                               \
    do {                                                                                                               \
        PRODUCT(0, 3, SHARED);                                                                                         \
        if (count > 1) PRODUCT(1, 4, SHARED);                                                                          \
        if (count > 2) PRODUCT(2, 5, SHARED);                                                                          \
    } while (0)
#define LOAD_TILES(PART)                                                                                               \
    do {                                                                                                               \
        _tile_loadd(3, (const char *)(t->tiles[0] + at) + PART * part, row);                                           \
        if (count > 1) _tile_loadd(4, (const char *)(t->tiles[1] + at) + PART * part, row);                            \
        if (count > 2) _tile_loadd(5, (const char *)(t->tiles[2] + at) + PART * part, row);                            \
    } while (0)
#define LOAD_SHARED(TILE, PART) _tile_loadd(TILE, shared + PART * shared_part, shared_row)
#define START(R) _tile_loadd(R, t->goes_on &&count > R ? (const void *)sums[R] : zeros, LINE)

SIMD void step(const int shares_rows, const int parts, const int shared_parts, const int count,
               const struct eo_bf16_tiles *t, size_t at, size_t row, size_t part, const char *shared, size_t shared_row,
               size_t shared_part) {
    LOAD_TILES(0);
    if (shared_parts > 2) {
        LOAD_SHARED(6, 2);
        MULTIPLY(6);
    }
    if (shared_parts > 1) {
        LOAD_SHARED(7, 1);
        MULTIPLY(7);
    }
    LOAD_SHARED(6, 0);
    MULTIPLY(6);
    if (parts > 1) {
        LOAD_TILES(1);
        MULTIPLY(6);
    }
    if (parts > 2) {
        if (shared_parts > 2) MULTIPLY(7);
        LOAD_TILES(2);
        MULTIPLY(6);
    }
}

// Where the sums of a tile go.
struct target {
    float *to;
    size_t row; // bytes
};

SIMD void products(const int shares_rows, const int parts, const int shared_parts, const struct eo_bf16_tiles *t,
                   float (*sums)[SIDE][SIDE], const struct target *targets) {
    static const _Alignas(64) float zeros[SIDE * SIDE];
    const struct eo_bf16_factor tiles = t->of_tiles, ones = t->of_shared;
    const size_t count = t->count, row = shares_rows ? LINE : tiles.row * 2;
    const size_t shared_row = shares_rows ? ones.row * 2 : LINE;
    const size_t part = tiles.part * 2, shared_part = ones.part * 2;
    START(0), START(1), START(2);
    for (size_t segment = 0; segment < t->segments; segment++)
        for (size_t i = 0; i < t->steps; i++) {
            const bool is_last = i + 1 == t->steps;
            const size_t at = segment * tiles.segment + (is_last ? tiles.last : i * tiles.step);
            const char *shared =
                (const char *)(t->shared + segment * ones.segment + (is_last ? ones.last : i * ones.step));
            if (count == EO_TILES)
                step(shares_rows, parts, shared_parts, EO_TILES, t, at, row, part, shared, shared_row, shared_part);
            else
                step(shares_rows, parts, shared_parts, (int)count, t, at, row, part, shared, shared_row, shared_part);
        }
    _tile_stored(0, targets[0].to, targets[0].row);
    if (count > 1) _tile_stored(1, targets[1].to, targets[1].row);
    if (count > 2) _tile_stored(2, targets[2].to, targets[2].row);
}

#define PRODUCTS(ROWS, P, S)                                                                                           \
    static TARGET void products_##ROWS##_##P##_##S(const struct eo_bf16_tiles *t, float(*sums)[SIDE][SIDE],            \
                                                   const struct target *targets) {                                     \
        products(ROWS, P, S, t, sums, targets);                                                                        \
    }
PRODUCTS(0, 2, 1)
PRODUCTS(0, 2, 2)
PRODUCTS(0, 3, 3)
PRODUCTS(1, 1, 1)
PRODUCTS(1, 1, 2)
PRODUCTS(1, 2, 2)

static TARGET void leave(const struct eo_bf16_tiles *t, size_t tile, float (*sums)[SIDE]) {
    const __mmask16 mask = mask_of(t->columns[tile]);
    const __m512 bias = t->bias ? _mm512_maskz_loadu_ps(mask, t->bias) : _mm512_setzero_ps();
    const __m512 low = _mm512_set1_ps(t->minimum), high = _mm512_set1_ps(t->maximum), scale = _mm512_set1_ps(t->scale);
    float *output = t->output[tile];
    for (size_t i = 0; i < t->rows[tile]; i++, output += t->output_step) {
        // A NaN stays one.
        const __m512 y = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(sums[i]), scale), bias);
        _mm512_mask_storeu_ps(output, mask, _mm512_min_ps(high, _mm512_max_ps(low, y)));
    }
}

// Sums that leave as they are go straight to the output.
static bool is_plain(const struct eo_bf16_tiles *t) {
    return t->output[0] && !t->squares && !t->bias && t->scale == 1 && t->minimum == -INFINITY &&
           t->maximum == INFINITY;
}

TARGET void eo_bf16_tiles__amx(const struct eo_bf16_tiles *tiles, size_t count) {
    _Alignas(64) float own[EO_TILES][SIDE][SIDE];
    size_t height = 1;
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < tiles[i].count; r++) height = tiles[i].rows[r] > height ? tiles[i].rows[r] : height;
    configure(height, tiles->depth, tiles->shares_rows);
    for (const struct eo_bf16_tiles *t = tiles; t < tiles + count; t++) {
        float(*sums)[SIDE][SIDE] = t->squares ? (float(*)[SIDE][SIDE])t->squares : own;
        struct target targets[EO_TILES];
        const bool plain = is_plain(t);
        for (size_t r = 0; r < t->count; r++) {
            const bool direct = plain && t->rows[r] == height && t->columns[r] == SIDE;
            targets[r] = direct ? (struct target){t->output[r], t->output_step * sizeof(float)}
                                : (struct target){sums[r][0], LINE};
        }
        const size_t parts = t->of_tiles.parts, shared = t->of_shared.parts;
        if (t->shares_rows)
            (shared == 1 ? products_1_1_1 : parts > 1 ? products_1_2_2 : products_1_1_2)(t, sums, targets);
        else
            (parts > 2 ? products_0_3_3 : shared > 1 ? products_0_2_2 : products_0_2_1)(t, sums, targets);
        for (size_t r = 0; r < t->count && t->output[0]; r++)
            if (targets[r].to == sums[r][0]) leave(t, r, sums[r]);
    }
    _tile_release();
}
#endif
