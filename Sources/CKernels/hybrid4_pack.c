#include "gemm.h"

#include <string.h>

// Done once for each model: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Eight neighbouring weights of a column as numbers of four bits, the first one lowest, zeros from `depth` on.
static uint32_t load(const struct eo_hybrid4_gemm_weights *w, size_t column, size_t k) {
    size_t at = (w->first + column) * w->depth + k;
    uint32_t eight = 0;
    if (w->bits == 4 && at % 2 == 0 && w->depth - k >= EO_HYBRID4_STEP) {
        memcpy(&eight, w->weights + at / 2, sizeof eight);
        return eight;
    }
    for (int i = 0; i < EO_HYBRID4_STEP && k + i < w->depth; i++, at++) {
        const int shift = (int)(at * w->bits % 8);
        const int8_t value = (int8_t)(w->weights[at * w->bits / 8] << (8 - w->bits - shift)) >> (8 - w->bits);
        eight |= (value & 15u) << 4 * i;
    }
    return eight;
}

// Numbers of 4 bits, one to a byte.
static uint32_t spread(uint32_t four) {
    four = (four | four << 8) & 0x00ff00ff;
    return (four | four << 4) & 0x0f0f0f0f;
}

// Their sum, each with its sign: the other way round their upper bit counts 8 more.
static int32_t sum(uint32_t lower, uint32_t upper) {
    return (int32_t)(((lower ^ 0x08080808) + (upper ^ 0x08080808)) * 0x01010101 >> 24) - 8 * EO_HYBRID4_STEP;
}

// Float16 as float: the bits one place lower in the exponent's range, which is multiplied back; no infinity.
float eo_half(uint16_t half) {
    const uint32_t bits = (half & 0x8000u) << 16 | (half & 0x7fffu) << 13;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x * 0x1p112f;
}

static size_t filled(size_t depth) { return (depth + EO_HYBRID4_STEP - 1) / EO_HYBRID4_STEP * EO_HYBRID4_STEP; }

size_t eo_hybrid4_gemm_packed_size(int nr, size_t depth, size_t columns, size_t block) {
    const size_t blocks = (filled(depth) + block - 1) / block, head = 3 * sizeof(float);
    return (columns + nr - 1) / nr * nr * (head + blocks * sizeof(uint16_t) + filled(depth) / 2);
}

// One column; `head` and what follows are those of its block.
static void pack_column(const eo_hybrid4_gemm_kernel *kernel, const struct eo_hybrid4_gemm_weights *w, size_t column,
                        size_t j, float *head) {
    const int nr = kernel->nr;
    char *to = (char *)(head + 3 * nr);
    float zero_sum = 0;
    for (size_t begin = 0; begin < filled(w->depth); begin += w->block, to += nr * sizeof(uint16_t)) {
        int32_t total = 0;
        for (size_t k = begin; k < begin + w->block && k < filled(w->depth); k += EO_HYBRID4_STEP, to += 4 * nr) {
            const uint32_t eight = load(w, column, k), lower = spread(eight & 0xffff), upper = spread(eight >> 16);
            const uint32_t word = lower | upper << 4;
            memcpy(to + 4 * j, &word, sizeof word);
            total += sum(lower, upper);
        }
        const uint16_t scale = w->block_scale[column * w->scales + begin / w->scale_block];
        ((uint16_t *)to)[j] = scale;
        zero_sum += eo_half(scale) * (float)total;
    }
    head[j] = 16 * zero_sum;
    head[nr + j] = w->scale[column] / 16;
    head[2 * nr + j] = w->bias[column];
}

void eo_hybrid4_gemm_pack(const eo_hybrid4_gemm_kernel *kernel, const struct eo_hybrid4_gemm_weights *w, void *packed) {
    const int nr = kernel->nr;
    const size_t size = eo_hybrid4_gemm_packed_size(nr, w->depth, 1, w->block);
    char *block = packed;
    for (size_t first = 0; first < w->columns; first += nr, block += size) {
        if (w->columns - first < (size_t)nr) memset(block, 0, size);
        for (size_t j = 0; j < (size_t)nr && first + j < w->columns; j++)
            pack_column(kernel, w, first + j, j, (float *)block);
    }
}
#pragma clang attribute pop
