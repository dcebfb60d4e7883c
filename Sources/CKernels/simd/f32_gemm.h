// Body of the float matrix product over a float vocabulary, MR rows, and HALF_COUNTS (UP_TO_n of row_counts.h, n half
// of MR), MR x (2 * LANES). Include after them.
#include "gemm.h"
#include "row_counts.h"

#define NR (2 * LANES)

// One block of columns; with `part`, of the last vector only so many lanes are written. `rows` and `vectors` are
// constants where this is called: everything unrolls and the sums stay in registers. (Arrays are of constant size: a
// variable one would live in memory.) Meanwhile `ahead` is brought into the second-level cache, `step` bytes for each
// step of depth.
struct block {
    size_t segments, depth; // of a segment
    const void *const *segment;
    size_t offset; // of all pieces
    size_t apart;  // bytes between neighbouring rows where they are the same for all
    const float *weights;
    float *output;
    size_t part;
    const char *ahead;
    size_t step;
};

SIMD void start(const int rows, const int vectors, const float *bias, vec (*sum)[2]) {
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) sum[i][j] = vec_load(bias + j * LANES);
}

SIMD void leave(const int rows, const int vectors, const struct eo_gemm_tile *t, const struct block *block,
                vec (*sum)[2]) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
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

SIMD void multiply(const int rows, const int vectors, const struct eo_gemm_tile *t, const struct block *block) {
    const float *w = block->weights + NR;
    const char *ahead = block->ahead;
    const size_t step = block->step, depth = block->depth;
    vec sum[MR][2];
    start(rows, vectors, block->weights, sum);
    const void *const *segment = block->segment;
    for (size_t s = 0; s < block->segments; s++, segment += MR) {
        const float *row[MR];
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) row[i] = (const float *)((const char *)segment[i] + block->offset);
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
    leave(rows, vectors, t, block, sum);
}

// MR rows that lie equally far apart. An address for every third one suffices (the processor adds its distance or
// twice that), so that none leaves the registers.
enum { EACH = 3, BASES = (MR + EACH - 1) / EACH };

// `count` steps of depth.
SIMD void multiply_steps(const int count, const int vectors, const char **base, size_t apart, const float *w,
                         const char *ahead, size_t step, vec (*sum)[2]) {
    // Compilers would keep an address for each row.
#pragma clang loop unroll(full)
    for (int i = 0; i < BASES; i++) __asm__("" : "+r"(base[i]));
#pragma clang loop unroll(full)
    for (int u = 0; u < count; u++, w += NR, ahead += step) {
        vec b[2];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = vec_load(w + j * LANES);
        __builtin_prefetch(ahead, 0, 2);
#pragma clang loop unroll(full)
        for (int i = 0; i < MR; i++) {
            const vec a = vec_set(((const float *)(base[i / EACH] + i % EACH * apart))[u]);
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = vec_fma(a, b[j], sum[i][j]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < BASES; i++) base[i] += count * sizeof(float);
}

SIMD void multiply_apart(const int vectors, const struct eo_gemm_tile *t, const struct block *block) {
    enum { STEPS = 4 };
    const float *w = block->weights + NR;
    const char *ahead = block->ahead;
    const size_t step = block->step, apart = block->apart;
    vec sum[MR][2];
    start(MR, vectors, block->weights, sum);
    const void *const *segment = block->segment;
    for (size_t s = 0; s < block->segments; s++, segment += MR) {
        const char *base[BASES];
#pragma clang loop unroll(full)
        for (int i = 0; i < BASES; i++) base[i] = (const char *)*segment + block->offset + i * EACH * apart;
        size_t k = block->depth;
        for (; k >= STEPS; k -= STEPS, w += STEPS * NR, ahead += STEPS * step)
            multiply_steps(STEPS, vectors, base, apart, w, ahead, step, sum);
        for (; k > 0; k--, w += NR, ahead += step) multiply_steps(1, vectors, base, apart, w, ahead, step, sum);
    }
    leave(MR, vectors, t, block, sum);
}

// One row and neighbouring blocks, `size` floats apart: the sums of a single block would wait for one another.
enum { TOGETHER = 4 };
static TARGET void multiply_together(const struct eo_gemm_tile *t, const struct block *block, size_t size) {
    const float *w = block->weights + NR;
    vec sum[TOGETHER][2];
#pragma clang loop unroll(full)
    for (int n = 0; n < TOGETHER; n++) start(1, 2, block->weights + n * size, &sum[n]);
    const void *const *segment = block->segment;
    for (size_t s = 0; s < block->segments; s++, segment += MR) {
        const float *row = (const float *)((const char *)*segment + block->offset);
        for (size_t k = 0; k < block->depth; k++, w += NR) {
            const vec a = vec_set(row[k]);
#pragma clang loop unroll(full)
            for (int n = 0; n < TOGETHER; n++)
#pragma clang loop unroll(full)
                for (int j = 0; j < 2; j++) sum[n][j] = vec_fma(a, vec_load(w + n * size + j * LANES), sum[n][j]);
        }
    }
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
#pragma clang loop unroll(full)
    for (int n = 0; n < TOGETHER; n++)
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) vec_store(block->output + n * NR + j * LANES, vec_clamp(sum[n][j], low, high));
}

typedef void multiplication(const struct eo_gemm_tile *t, const struct block *block);
#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, const struct block *b) { multiply(R, 2, t, b); }     \
    static TARGET void narrow_##R(const struct eo_gemm_tile *t, const struct block *b) { multiply(R, 1, t, b); }
HALF_COUNTS(MULTIPLY)
static TARGET void multiply_all(const struct eo_gemm_tile *t, const struct block *b) { multiply(MR, 2, t, b); }
static TARGET void narrow_all(const struct eo_gemm_tile *t, const struct block *b) { multiply(MR, 1, t, b); }
static TARGET void multiply_row(const struct eo_gemm_tile *t, const struct block *b) { multiply_apart(2, t, b); }
static TARGET void narrow_row(const struct eo_gemm_tile *t, const struct block *b) { multiply_apart(1, t, b); }

// By the number of rows; 0: all of them, equally far apart.
#define MULTIPLY_NAMES(R) {narrow_##R, multiply_##R},
static multiplication *const multiply_rows[][2] = {{narrow_row, multiply_row}, HALF_COUNTS(MULTIPLY_NAMES)};
static multiplication *const multiply_all_rows[2] = {narrow_all, multiply_all};

// All columns of `rows` rows from number `first` on, which are all of a tile or at most half of that.
SIMD void rows_of_tile(const struct eo_gemm_tile *t, size_t first, size_t rows) {
    const void *row[MR];
    struct block block = {.segments = t->segments, .offset = t->segment_offset, .weights = t->weights};
    block.output = (float *)((char *)t->output + first * t->output_stride);
    block.segment = t->segment + first;
    block.apart = rows == MR ? t->input_stride : 0;
    if (t->segments == 0) {
        const char *input = (const char *)t->input + first * t->input_stride;
        const size_t count = block.apart > 0 ? 1 : rows;
        for (size_t i = 0; i < count; i++) row[i] = input + i * t->input_stride;
        block.segments = 1;
        block.segment = row;
    }
    block.depth = t->depth / block.segments;
    multiplication *const *run = rows < MR         ? multiply_rows[rows]
                                 : block.apart > 0 ? multiply_rows[0]
                                                   : multiply_all_rows;
    // Where nothing is wanted, a line that is there anyway.
    const bool wants = t->ahead && first == 0;
    const size_t size = (1 + t->depth) * NR, blocks = (t->columns + NR - 1) / NR;
    block.ahead = wants ? t->ahead : t->weights;
    block.step = wants ? t->ahead_size / (blocks * t->depth) : 0;
    size_t column = 0;
    for (; rows == 1 && t->columns - column >= TOGETHER * NR; column += TOGETHER * NR) {
        multiply_together(t, &block, size);
        block.weights += TOGETHER * size;
        block.output += TOGETHER * NR;
    }
    for (; column < t->columns; column += NR) {
        const size_t columns = t->columns - column < NR ? t->columns - column : NR;
        block.part = columns % LANES;
        run[columns > LANES](t, &block);
        block.weights += size;
        block.output += NR;
        block.ahead += block.step * t->depth;
    }
}

SIMD void tile(const struct eo_gemm_tile *t) {
    // Copies of the loop for more than half of the rows are not worth their size.
    const size_t half = t->rows < MR && t->rows > MR / 2 ? (t->rows + 1) / 2 : t->rows;
    for (size_t first = 0; first < t->rows; first += half)
        rows_of_tile(t, first, t->rows - first < half ? t->rows - first : half);
}
