// Body of the products with weights of four bits, over the words of u8_gemm.h, which goes before, and
//   bvec_of(bytes)   weights of a vector of columns, STEP deep, out of a vector
//   FEW_COUNTS       UP_TO_n of row_counts.h, and FEW_ROWS n: the sums and totals of so many rows fit the registers
//
// Halves of bytes are multiplied as they stand in them, 16 times too large. Many rows share the unpacking of a block's
// weights; those of few rows never touch memory again.
#include <string.h>

#ifndef FEW_ROWS
#define FEW_ROWS 1
#define FEW_COUNTS UP_TO_1
#endif

enum { PAIR = 2 * STEP };

// A block's columns of weights, `depth` deep, to bytes.
SIMD void unpack_halves(const int8_t *w, size_t depth, int8_t *to) {
#pragma clang loop unroll(disable)
    for (size_t k = 0; k < depth; k += PAIR, w += NR * STEP)
#pragma clang loop unroll(full)
        for (int upper = 0; upper < 2; upper++)
#pragma clang loop unroll(full)
            for (int j = 0; j < NR; j += LANES, to += LANES * STEP)
                ivec_store((int32_t *)to, bytes_halves(w + j * STEP, upper));
}

// Sums of few rows: lower and upper halves have sums of their own, for none to wait for the other.
SIMD void multiply_halves(const int rows, const char *input, size_t stride, const int8_t *w, size_t depth,
                          ivec total[][VECTORS]) {
    const ivec zero = ivec_set(0);
    acc sum[2][FEW_ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[0][i][j] = sum[1][i][j] = acc_start(zero);
    for (size_t k = 0; k < depth; k += PAIR, w += NR * STEP)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) {
            const int8_t *at = w + j * LANES * STEP;
            __builtin_prefetch(at + AHEAD / 2);
#pragma clang loop unroll(full)
            for (int upper = 0; upper < 2; upper++) {
                const bvec b = bvec_of(bytes_halves(at, upper));
#pragma clang loop unroll(full)
                for (int i = 0; i < rows; i++) {
                    const ROW *row = (const ROW *)(input + i * stride) + k + upper * STEP;
                    sum[upper][i][j] = acc_step(sum[upper][i][j], avec_load(row), b);
                }
            }
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) {
            total[i][j] = ivec_add(acc_total(sum[0][i][j], zero), acc_total(sum[1][i][j], zero));
#ifdef ROW_RESTS
            total[i][j] = ivec_add(total[i][j], ivec_set(row_rest((const ROW *)(input + i * stride), depth)));
#endif
        }
}

SIMD vec add_scaled(vec total, ivec sum, const uint16_t *scale) {
    return vec_add(total, vec_multiply(ivec_to_float(sum), vec_load_half(scale)));
}

// totals[rows][NR] of a block of columns, whose weights begin at `w`. Gives where they end.
SIMD const int8_t *total_rows(const struct eo_gemm_tile *t, size_t block, const int8_t *w, float *totals) {
    static const int32_t start[NR];
    _Alignas(64) int8_t unpacked[EO_HYBRID4_BLOCK * NR];
    _Alignas(64) int32_t sums[MR * NR];
    int32_t rests[MR];
    memset(totals, 0, t->rows * NR * sizeof *totals);
    for (size_t k = 0, depth; k < t->depth; k += depth) {
        depth = t->depth - k < block ? t->depth - k : block;
        const uint16_t *scale = (const uint16_t *)(w + NR * depth / 2);
        unpack_halves(w, depth, unpacked);
        struct operands o = {.input = (const char *)t->input + k * sizeof(ROW),
                             .stride = t->input_stride,
                             .depth = depth,
                             .weights = unpacked,
                             .start = start,
                             .rests = rests};
        float *total = totals;
        for (size_t left = t->rows, rows; left > 0; left -= rows, o.input += rows * o.stride) {
            rows = left < MR ? left : MR;
#ifdef ROW_RESTS
            for (size_t i = 0; i < rows; i++) rests[i] = row_rest((const ROW *)(o.input + i * o.stride), depth);
#endif
            multiply_rows(rows, NR, o, sums);
#pragma clang loop unroll(disable)
            for (size_t i = 0; i < rows * NR; i += NR, total += NR)
#pragma clang loop unroll(full)
                for (int j = 0; j < NR; j += LANES)
                    vec_store(total + j, add_scaled(vec_load(total + j), ivec_load(sums + i + j), scale + j));
        }
        w = (const int8_t *)(scale + NR);
    }
    return w;
}

// The same of so few rows that nothing leaves the registers.
SIMD const int8_t *total_few(const int rows, const struct eo_gemm_tile *t, size_t block, const int8_t *w,
                             float *totals) {
    vec total[FEW_ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) total[i][j] = vec_set(0);
    for (size_t k = 0, depth; k < t->depth; k += depth) {
        depth = t->depth - k < block ? t->depth - k : block;
        const uint16_t *scale = (const uint16_t *)(w + NR * depth / 2);
        ivec sum[FEW_ROWS][VECTORS];
        multiply_halves(rows, (const char *)t->input + k * sizeof(ROW), t->input_stride, w, depth, sum);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) total[i][j] = add_scaled(total[i][j], sum[i][j], scale + j * LANES);
        w = (const int8_t *)(scale + NR);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) vec_store(totals + i * NR + j * LANES, total[i][j]);
    return w;
}

SIMD const int8_t *total(const struct eo_gemm_tile *t, size_t block, const int8_t *w, float *totals) {
    // A loop over them would come to one copy for all, whose sums are in memory.
#define FEW(R)                                                                                                         \
    if (t->rows == R) return total_few(R, t, block, w, totals);
    FEW_COUNTS(FEW)
    return total_rows(t, block, w, totals);
}

// A block's head is zero_sums[NR], scale[NR], bias[NR].
SIMD void finish_totals(const struct eo_gemm_tile *t, const float *head, const float *totals, size_t columns,
                        char *output) {
    const struct eo_hybrid_gemm_parameters *p = t->parameters;
    const vec low = vec_set(p->minimum), high = vec_set(p->maximum);
    for (size_t i = 0; i < t->rows; i++, totals += NR, output += t->output_stride) {
        const struct eo_hybrid_row *grid = eo_hybrid_row_of(t, i);
        const vec row_scale = vec_set(grid->scale), zero = vec_set((float)(ROW_OFFSET - grid->zero_point));
        for (size_t j = 0; j < columns; j += LANES) {
            const vec total = vec_add(vec_load(totals + j), vec_multiply(zero, vec_load(head + j)));
            const vec scaled = vec_multiply(total, vec_multiply(row_scale, vec_load(head + NR + j)));
            const vec x = vec_clamp(vec_add(scaled, vec_load(head + 2 * NR + j)), low, high);
            float *to = (float *)output + j;
            if (columns - j < LANES)
                vec_store_part(to, x, columns - j);
            else
                vec_store(to, x);
        }
    }
}

SIMD void halves_tile(const struct eo_gemm_tile *t) {
    const size_t block = ((const struct eo_hybrid_gemm_parameters *)t->parameters)->block;
    _Alignas(64) float totals[2 * MR * NR];
    const int8_t *w = t->weights;
    char *output = t->output;
    for (size_t column = 0; column < t->columns; column += NR, output += NR * sizeof(float)) {
        const float *head = (const float *)w;
        w = (const int8_t *)(head + 3 * NR);
        w = total(t, block, w, totals);
        finish_totals(t, head, totals, t->columns - column < NR ? t->columns - column : NR, output);
    }
}
