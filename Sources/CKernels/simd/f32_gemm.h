// Body of the float matrix product over a float vocabulary, MR x (2 * LANES). Include after the vocabulary.
#include "gemm.h"

// `rows` and `vectors` are constants where this is called: everything unrolls and the sums stay in registers.
SIMD void tile(const int rows, const int vectors, const struct eo_gemm_tile *t, const float *w, float *output,
               size_t columns) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    vec sum[rows][vectors];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) sum[i][j] = vec_load(w + j * LANES);
    w += 2 * LANES;
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
        w += 2 * LANES;
    }
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
    const size_t last = columns - (vectors - 1) * LANES;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *out = (float *)((char *)output + i * t->output_stride);
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) {
            vec x = vec_clamp(sum[i][j], low, high);
            if (j + 1 < vectors || last >= LANES)
                vec_store(out + j * LANES, x);
            else
                vec_store_part(out + j * LANES, x, last);
        }
    }
}

// All columns of `rows` rows.
#define STRIP(R)                                                                                                       \
    static TARGET void strip_##R(const struct eo_gemm_tile *t) {                                                       \
        const float *w = t->weights;                                                                                   \
        float *output = t->output;                                                                                     \
        size_t columns = t->columns;                                                                                   \
        for (; columns > LANES; columns -= 2 * LANES) {                                                                \
            tile(R, 2, t, w, output, columns);                                                                         \
            if (columns <= 2 * LANES) return;                                                                          \
            w += (1 + t->depth) * 2 * LANES;                                                                           \
            output += 2 * LANES;                                                                                       \
        }                                                                                                              \
        if (columns > 0) tile(R, 1, t, w, output, columns);                                                            \
    }
