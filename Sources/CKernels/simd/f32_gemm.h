// Body of the float matrix product over a float vocabulary and ROW_COUNTS (UP_TO_n of row_counts.h), n x (2 * LANES).
// Include after them.
#include "gemm.h"
#include "row_counts.h"

#define NR (2 * LANES)

// One block of columns, whole vectors. `rows` and `vectors` are constants where this is called: everything unrolls and
// the sums stay in registers.
SIMD void multiply(const int rows, const int vectors, const struct eo_gemm_tile *t, const float *w, float *output,
                   size_t output_stride) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    vec sum[rows][vectors];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) sum[i][j] = vec_load(w + j * LANES);
    w += NR;
    const float *row[rows];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) row[i] = (const float *)((const char *)t->input + i * t->input_stride);
    const size_t depth = t->depth;
    for (size_t k = 0; k < depth; k++) {
        vec b[vectors];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = vec_load(w + j * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            vec a = vec_set(row[i][k]);
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = vec_fma(a, b[j], sum[i][j]);
        }
        w += NR;
    }
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *out = (float *)((char *)output + i * output_stride);
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) vec_store(out + j * LANES, vec_clamp(sum[i][j], low, high));
    }
}

#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, int narrow, const float *w, float *output,           \
                                    size_t output_stride) {                                                            \
        if (narrow)                                                                                                    \
            multiply(R, 1, t, w, output, output_stride);                                                               \
        else                                                                                                           \
            multiply(R, 2, t, w, output, output_stride);                                                               \
    }
#define MULTIPLY_NAME(R) multiply_##R,
ROW_COUNTS(MULTIPLY)
static void (*const multiply_rows[])(const struct eo_gemm_tile *, int, const float *, float *,
                                     size_t) = {ROW_COUNTS(MULTIPLY_NAME)};
enum { ROWS = sizeof multiply_rows / sizeof *multiply_rows };

// All columns of a tile. Only the last block can have a vector that is not whole: it goes through memory.
SIMD void tile(const struct eo_gemm_tile *t) {
    const float *w = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, w += (1 + t->depth) * NR) {
        const size_t columns = t->columns - column < NR ? t->columns - column : NR;
        const int narrow = columns <= LANES;
        float *output = (float *)t->output + column;
        if (columns % LANES == 0) {
            multiply_rows[t->rows - 1](t, narrow, w, output, t->output_stride);
            continue;
        }
        float results[ROWS][NR];
        multiply_rows[t->rows - 1](t, narrow, w, results[0], sizeof results[0]);
        for (size_t i = 0; i < t->rows; i++) {
            float *out = (float *)((char *)output + i * t->output_stride);
            if (!narrow) vec_store(out, vec_load(results[i]));
            const size_t whole = columns / LANES * LANES;
            vec_store_part(out + whole, vec_load(results[i] + whole), columns - whole);
        }
    }
}
