#include "gemm.h"

#include <string.h>

static size_t blocks(int nr, size_t columns) { return (columns + nr - 1) / nr; }

size_t eo_f32_gemm_packed_size(int nr, size_t depth, size_t columns) {
    return blocks(nr, columns) * nr * (1 + depth) * sizeof(float);
}

// `from` may lie anywhere in a file, so floats are copied, not dereferenced.
static float float_at(const void *from, size_t index) {
    float x;
    memcpy(&x, (const char *)from + index * sizeof x, sizeof x);
    return x;
}

void eo_f32_gemm_pack(int nr, size_t depth, size_t columns, const void *weights, const void *bias, void *packed) {
    float *block = packed;
    for (size_t first = 0; first < columns; first += nr, block += (1 + depth) * nr)
        for (int j = 0; j < nr; j++) {
            const size_t column = first + j;
            block[j] = column < columns && bias ? float_at(bias, column) : 0;
            for (size_t k = 0; k < depth; k++)
                block[(1 + k) * nr + j] = column < columns ? float_at(weights, column * depth + k) : 0;
        }
}

void eo_f32_gemm_pack_transposed(int nr, size_t depth, size_t columns, const float *weights, void *packed) {
    float *block = packed;
    for (size_t first = 0; first < columns; first += nr, block += (1 + depth) * nr) {
        const size_t count = columns - first < (size_t)nr ? columns - first : (size_t)nr;
        memset(block, 0, nr * sizeof(float));
        for (size_t k = 0; k < depth; k++) {
            memcpy(block + (1 + k) * nr, weights + k * columns + first, count * sizeof(float));
            memset(block + (1 + k) * nr + count, 0, (nr - count) * sizeof(float));
        }
    }
}
