// Body of the 8-bit matrix products over an integer vocabulary and these words of the instruction set's way to
// multiply:
//   acc        running sums of one vector of columns       acc_start(bias), acc_step(acc, a, b), acc_total(acc, bias)
//   bvec       weights of a vector of columns, 4 deep      bvec_load(bytes)
//   avec       four activations of a row, everywhere       avec_load(row, quad)
//   ROW        element type of a row: uint8_t, or int16_t widened
//   VECTORS    vectors of columns in a block
#include "gemm.h"

enum epilogue { REQUANTIZE, DEQUANTIZE };
// Numbers of 4 bytes each at the head of a block, for each column.
#define HEAD(epilogue) (epilogue == REQUANTIZE ? 2 : 3)
#define NR (VECTORS * LANES)

SIMD void requantize(const struct eo_u8_gemm_parameters *p, ivec sum, const float *scale, uint8_t *output,
                     size_t count) {
    vec x = vec_multiply(ivec_to_float(sum), vec_load(scale));
    x = vec_clamp(x, vec_set(p->minimum), vec_set(p->maximum));
    ivec_store_bytes(output, ivec_add(vec_round(x), ivec_set(p->output_zero_point)), count);
}

SIMD void dequantize(const struct eo_hybrid_gemm_parameters *p, ivec sum, const float *scale, float row_scale,
                     float *output, size_t count) {
    vec x = vec_multiply(ivec_to_float(sum), vec_multiply(vec_set(row_scale), vec_load(scale)));
    x = vec_add(x, vec_load(scale + NR));
    x = vec_clamp(x, vec_set(p->minimum), vec_set(p->maximum));
    if (count >= LANES)
        vec_store(output, x);
    else
        vec_store_part(output, x, count);
}

// `row_factors`: what each row multiplies the column's number with before it is added to the sums; null if nothing.
SIMD void tile(const enum epilogue epilogue, const int rows, const int vectors, const struct eo_gemm_tile *t,
               const char *block, char *output, size_t columns, const int32_t *row_factors) {
    const int8_t *w = (const int8_t *)block + HEAD(epilogue) * 4 * NR;
    const int32_t *head = (const int32_t *)block;
    const float *scale = (const float *)block + NR;
    acc sum[rows][vectors];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = acc_start(epilogue == REQUANTIZE ? ivec_load(head + j * LANES) : ivec_set(0));
    const ROW *row[rows];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) row[i] = (const ROW *)((const char *)t->input + i * t->input_stride);
    const size_t depth = t->depth;
    for (size_t k = 0; k < depth; k += 4) {
        bvec b[vectors];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = bvec_load(w + j * LANES * 4);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            avec a = avec_load(row[i] + k);
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = acc_step(sum[i][j], a, b[j]);
        }
        w += NR * 4;
    }
    // Through memory, so that what follows is there once and not for every sum: code size.
    ivec total[rows][vectors];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            total[i][j] = acc_total(sum[i][j], epilogue == REQUANTIZE ? ivec_load(head + j * LANES) : ivec_set(0));
    const struct eo_hybrid_row *grids = t->row_parameters;
    const size_t last = columns - (vectors - 1) * LANES;
#pragma clang loop unroll(disable)
    for (int i = 0; i < rows; i++) {
        char *out = output + i * t->output_stride;
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) {
            const size_t count = j + 1 < vectors ? LANES : last;
            if (epilogue == REQUANTIZE) {
                const ivec x = row_factors ? ivec_add(total[i][j], ivec_set(row_factors[i])) : total[i][j];
                requantize(t->parameters, x, scale + j * LANES, (uint8_t *)out + j * LANES, count);
            } else {
                const ivec zero = ivec_multiply(ivec_load(head + j * LANES), ivec_set(-grids[i].zero_point));
                dequantize(t->parameters, ivec_add(total[i][j], zero), scale + j * LANES, grids[i].scale,
                           (float *)out + j * LANES, count);
            }
        }
    }
}

// - weight zero point * sum of the row
SIMD void row_corrections(const struct eo_gemm_tile *t, int32_t weight_zero_point, int32_t *corrections) {
    for (size_t i = 0; i < t->rows; i++) {
        const ROW *row = (const ROW *)((const char *)t->input + i * t->input_stride);
        uint32_t sum = 0;
        for (size_t k = 0; k < t->depth; k++) sum += (uint32_t)row[k];
        corrections[i] = (int32_t)(0 - (uint32_t)weight_zero_point * sum);
    }
}

// All columns of `rows` rows.
SIMD void strip(const enum epilogue epilogue, const int rows, const struct eo_gemm_tile *t) {
    const size_t element = epilogue == REQUANTIZE ? 1 : sizeof(float);
    const char *block = t->weights;
    char *output = t->output;
    int32_t corrections[rows], *row_factors = NULL;
    if (epilogue == REQUANTIZE) {
        const struct eo_u8_gemm_parameters *p = t->parameters;
        if (p->weight_zero_point != 0) row_corrections(t, p->weight_zero_point, row_factors = corrections);
    }
    for (size_t columns = t->columns;; columns -= NR) {
        if (columns > LANES || VECTORS == 1)
            tile(epilogue, rows, VECTORS, t, block, output, columns, row_factors);
        else
            tile(epilogue, rows, 1, t, block, output, columns, row_factors);
        if (columns <= NR) return;
        block += NR * (HEAD(epilogue) * 4 + t->depth);
        output += NR * element;
    }
}

#define STRIP(R)                                                                                                       \
    static TARGET void requantize_##R(const struct eo_gemm_tile *t) { strip(REQUANTIZE, R, t); }                       \
    static TARGET void dequantize_##R(const struct eo_gemm_tile *t) { strip(DEQUANTIZE, R, t); }
