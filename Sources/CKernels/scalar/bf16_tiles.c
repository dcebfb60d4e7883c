#include "gemm.h"

#include <string.h>

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_bf16_pairs, EO_BF16_PAIRS_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_rows, EO_BF16_ROWS_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_split, EO_BF16_SPLIT_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_tiles, EO_BF16_TILES_ROWS)

static float float_of(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

// The upper half of x and `half`; the rest stays.
static uint16_t next_part(float *x, uint32_t half) {
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    const uint16_t part = (uint16_t)((bits + half) >> 16);
    *x -= float_of(part);
    return part;
}

static void split(size_t parts, float x, uint16_t *to, size_t to_part) {
    if (parts == 1) return eo_f32_to_bf16__scalar(1, &x, to);
    for (size_t p = 0; p < parts; p++) to[p * to_part] = next_part(&x, parts < EO_BF16_PARTS ? EO_BF16_HALF : 0);
}

// One half of pair number n.
static float pixel(const struct eo_bf16_line *l, size_t n, size_t half, size_t channel) {
    const size_t image = n % l->abreast * 2 + half, p = n / l->abreast - l->skip; // wrapped around before the first
    if (image >= l->images || p >= (image + 1 < l->images ? l->pixels : l->last) || channel >= l->channels) return 0;
    return l->from[image * l->image + p * l->step + channel] * l->scale;
}

void eo_bf16_pairs__scalar(const struct eo_bf16_line *l) {
    for (size_t c = 0; c < (l->channels + 15) / 16 * 16; c++)
        for (size_t n = 0; n < 2 * l->filled; n++)
            split(l->parts, pixel(l, n / 2, n % 2, c), l->to + c / 16 * l->to_step + (n / 2 * 16 + c % 16) * 2 + n % 2,
                  l->to_part);
}

void eo_bf16_rows__scalar(const struct eo_bf16_line *l) {
    for (size_t c = 0; c < l->channels; c++) {
        float sums[2] = {0, 0};
        for (size_t n = 0; n < 2 * l->filled; n++) {
            const float x = pixel(l, n / 2, n % 2, c);
            sums[n % 2] += x;
            split(l->parts, x, l->to + c / 16 * l->to_step + (n / 32 * 16 + c % 16) * 32 + n % 32, l->to_part);
        }
        if (l->sums) l->sums[c] += sums[0] + sums[1];
    }
}

void eo_bf16_split__scalar(size_t count, const float *x, const float *scale, size_t parts, uint16_t *y, size_t part) {
    for (size_t i = 0; i < count; i++) split(parts, scale ? x[i] * scale[i] : x[i], y + i, part);
}

static size_t place(const struct eo_bf16_tiles *t, const struct eo_bf16_factor *f, size_t segment, size_t step) {
    return segment * f->segment + (step + 1 == t->steps ? f->last : step * f->step);
}

static double sum_of(const struct eo_bf16_tiles *t, const struct eo_bf16_factor *of_a, const uint16_t *a,
                     const struct eo_bf16_factor *of_b, const uint16_t *b) {
    const size_t parts = of_a->parts > of_b->parts ? of_a->parts : of_b->parts;
    double sum = 0;
    for (size_t segment = 0; segment < t->segments; segment++)
        for (size_t step = 0; step < t->steps; step++) {
            const uint16_t *x = a + place(t, of_a, segment, step), *w = b + place(t, of_b, segment, step);
            for (size_t p = 0; p < of_a->parts; p++)
                for (size_t q = 0; q < of_b->parts && p + q < parts; q++)
                    for (size_t k = 0; k < t->depth; k++)
                        sum +=
                            (double)float_of(x[p * of_a->part + k]) * float_of(w[q * of_b->part + k / 2 * 32 + k % 2]);
        }
    return sum;
}

void eo_bf16_tiles__scalar(const struct eo_bf16_tiles *tiles, size_t count) {
    for (const struct eo_bf16_tiles *t = tiles; t < tiles + count; t++)
        for (size_t r = 0; r < t->count; r++)
            for (size_t i = 0; i < t->rows[r]; i++)
                for (size_t j = 0; j < t->columns[r]; j++) {
                    const uint16_t *a = t->shares_rows ? t->shared : t->tiles[r];
                    const uint16_t *b = t->shares_rows ? t->tiles[r] : t->shared;
                    const struct eo_bf16_factor *of_a = t->shares_rows ? &t->of_shared : &t->of_tiles;
                    const struct eo_bf16_factor *of_b = t->shares_rows ? &t->of_tiles : &t->of_shared;
                    float *square = t->squares ? t->squares + (r * 16 + i) * 16 + j : NULL;
                    const double before = t->goes_on ? *square : 0;
                    const float sum = (float)(before + sum_of(t, of_a, a + i * of_a->row, of_b, b + 2 * j));
                    if (square) *square = sum;
                    if (!t->output[0]) continue;
                    const float y = sum * t->scale + (t->bias ? t->bias[j] : 0),
                                least = y < t->minimum ? t->minimum : y;
                    t->output[r][i * t->output_step + j] = least > t->maximum ? t->maximum : least;
                }
}
#pragma clang attribute pop
