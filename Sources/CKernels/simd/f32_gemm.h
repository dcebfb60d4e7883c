// Body of the float matrix product over a float vocabulary and ROW_COUNTS (UP_TO_n of row_counts.h), n x (2 * LANES).
// Include after them.
#include "gemm.h"
#include "row_counts.h"

#define NR (2 * LANES)
#define ONE_MORE(R) +1
enum { MR = 0 ROW_COUNTS(ONE_MORE) };

// One block of columns; with `part`, of the last vector only so many lanes are written. `rows` and `vectors` are
// constants where this is called: everything unrolls and the sums stay in registers. (Arrays are of constant size: a
// variable one would live in memory.) Meanwhile `ahead` is brought into the second-level cache, `step` bytes for each
// step of depth.
struct block {
    const void *const *segment;
    const float *weights;
    float *output;
    size_t part;
    const char *ahead;
    size_t step;
};

SIMD void multiply(const int rows, const int vectors, const struct eo_gemm_tile *t, const struct block *block) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const float *w = block->weights;
    const char *ahead = block->ahead;
    const size_t step = block->step, segments = t->segments ? t->segments : 1, depth = t->depth / segments;
    vec sum[MR][2];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) sum[i][j] = vec_load(w + j * LANES);
    w += NR;
    const void *const *segment = block->segment;
    for (size_t s = 0; s < segments; s++, segment += MR) {
        const float *row[MR];
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) row[i] = segment[i];
        for (size_t k = 0; k < depth; k++) {
            vec b[2];
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) b[j] = vec_load(w + j * LANES);
            __builtin_prefetch(ahead, 0, 2);
            ahead += step;
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) {
                vec a = vec_set(row[i][k]);
#pragma clang loop unroll(full)
                for (int j = 0; j < vectors; j++) sum[i][j] = vec_fma(a, b[j], sum[i][j]);
            }
            w += NR;
        }
    }
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
    const size_t part = block->part;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *out = (float *)((char *)block->output + i * t->output_stride);
        if (vectors == 2) vec_store(out, vec_clamp(sum[i][0], low, high));
        out += (vectors - 1) * LANES;
        const vec last = vec_clamp(sum[i][vectors - 1], low, high);
        if (part)
            vec_store_part(out, last, part);
        else
            vec_store(out, last);
    }
}

#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, int narrow, const struct block *block) {             \
        if (narrow)                                                                                                    \
            multiply(R, 1, t, block);                                                                                  \
        else                                                                                                           \
            multiply(R, 2, t, block);                                                                                  \
    }
#define MULTIPLY_NAME(R) multiply_##R,
ROW_COUNTS(MULTIPLY)
static void (*const multiply_rows[])(const struct eo_gemm_tile *, int,
                                     const struct block *) = {ROW_COUNTS(MULTIPLY_NAME)};

// All columns of a tile.
SIMD void tile(const struct eo_gemm_tile *t) {
    const void *row[MR];
    for (size_t i = 0; i < t->rows; i++) row[i] = (const char *)t->input + i * t->input_stride;
    const size_t size = (1 + t->depth) * NR, blocks = (t->columns + NR - 1) / NR;
    struct block block = {.segment = t->segments ? t->segment : row, .weights = t->weights, .output = t->output};
    // Where nothing is wanted, a line that is there anyway.
    block.ahead = t->ahead ? t->ahead : t->weights;
    block.step = t->ahead ? t->ahead_size / (blocks * t->depth) : 0;
    for (size_t column = 0; column < t->columns; column += NR) {
        const size_t columns = t->columns - column < NR ? t->columns - column : NR;
        block.part = columns % LANES;
        multiply_rows[t->rows - 1](t, columns <= LANES, &block);
        block.weights += size;
        block.output += NR;
        block.ahead += block.step * t->depth;
    }
}
