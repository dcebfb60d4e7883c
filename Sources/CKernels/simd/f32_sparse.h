// Body of the float product of sparse weights over a float vocabulary and ROW_COUNTS, n x EO_SPARSE_COLUMNS. Include
// after them.
#include "gemm.h"
#include "row_counts.h"

#define VECTORS (EO_SPARSE_COLUMNS / LANES)
#define ONE_MORE(R) +1
enum { MR = 0 ROW_COUNTS(ONE_MORE) };

// One block of columns, of which `columns` are written. `rows` is a constant where this is called.
SIMD void multiply(const int rows, const struct eo_gemm_tile *t, const struct eo_sparse_block *block, float *output,
                   size_t columns) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const float *w = (const float *)((const char *)block + block->offset);
    const uint32_t *place = (const uint32_t *)(w + block->count * EO_SPARSE_COLUMNS);
    const size_t stride = t->input_stride;
    vec sum[MR][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[i][j] = vec_load(block->bias + j * LANES);
    for (size_t n = 0; n < block->count; n++, w += EO_SPARSE_COLUMNS) {
        const char *x = (const char *)((const float *)t->input + place[n]);
        vec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) b[j] = vec_load(w + j * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            vec a = vec_set(*(const float *)(x + i * stride));
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) sum[i][j] = vec_fma(a, b[j], sum[i][j]);
        }
    }
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *out = (float *)((char *)output + i * t->output_stride);
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) {
            const size_t first = (size_t)j * LANES;
            const vec y = vec_clamp(sum[i][j], low, high);
            if (columns >= first + LANES)
                vec_store(out + first, y);
            else if (columns > first)
                vec_store_part(out + first, y, columns - first);
        }
    }
}

#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, const struct eo_sparse_block *block, float *output,  \
                                    size_t columns) {                                                                  \
        multiply(R, t, block, output, columns);                                                                        \
    }
#define MULTIPLY_NAME(R) multiply_##R,
ROW_COUNTS(MULTIPLY)
static void (*const multiply_rows[])(const struct eo_gemm_tile *, const struct eo_sparse_block *, float *,
                                     size_t) = {ROW_COUNTS(MULTIPLY_NAME)};

// All columns of a tile.
SIMD void tile(const struct eo_gemm_tile *t) {
    const struct eo_sparse_block *block = t->weights;
    float *output = t->output;
    for (size_t column = 0; column < t->columns; column += EO_SPARSE_COLUMNS, output += EO_SPARSE_COLUMNS)
        multiply_rows[t->rows - 1](t, block++, output, t->columns - column);
}
