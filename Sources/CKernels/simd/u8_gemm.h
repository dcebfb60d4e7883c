// Body of the 8-bit matrix products over an integer vocabulary and these words of the instruction set's way to
// multiply:
//   PRODUCTS   the header of the products, if they are not those of u8_gemm_quads.h; it says which words it needs
//   ROW        element type of a row: uint8_t, int16_t widened, or int8_t
//   ROW_OFFSET what int8_t rows are less than the numbers they stand for
//   VECTORS    vectors of columns in a block
//   ROW_COUNTS UP_TO_n of row_counts.h
#include "gemm.h"
#include "row_counts.h"

#ifndef PRODUCTS
#define PRODUCTS "u8_gemm_quads.h"
#endif
#ifndef ROW_OFFSET
#define ROW_OFFSET 0
#endif

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

// multiply(rows, vectors, tile, start, weights, totals): totals[rows][NR] = start + products of the rows and a block's
// weights. `rows` and `vectors` are constants where it is called: everything unrolls and the sums stay in registers.
#define ONE_MORE(R) +1
enum { ROWS = 0 ROW_COUNTS(ONE_MORE) };
#include PRODUCTS

// The products alone exist for each number of rows; what follows them is there once, and both kernels share the
// products: code size. `narrow`: only the first vector of columns counts.
#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, int narrow, const int32_t *start, const int8_t *w,   \
                                    int32_t *totals) {                                                                 \
        if (VECTORS > 1 && narrow)                                                                                     \
            multiply(R, 1, t, start, w, totals);                                                                       \
        else                                                                                                           \
            multiply(R, VECTORS, t, start, w, totals);                                                                 \
    }
#define MULTIPLY_NAME(R) multiply_##R,
ROW_COUNTS(MULTIPLY)
static void (*const multiply_rows[])(const struct eo_gemm_tile *, int, const int32_t *, const int8_t *,
                                     int32_t *) = {ROW_COUNTS(MULTIPLY_NAME)};

// - weight zero point * sum of the row
SIMD void row_corrections(const struct eo_gemm_tile *t, int32_t weight_zero_point, int32_t *corrections) {
    for (size_t i = 0; i < t->rows; i++) {
        const ROW *row = (const ROW *)((const char *)t->input + i * t->input_stride);
        uint32_t sum = 0;
        for (size_t k = 0; k < t->depth; k++) sum += (uint32_t)row[k];
        corrections[i] = (int32_t)(0 - (uint32_t)weight_zero_point * sum);
    }
}

// All columns of a tile.
SIMD void tile(const enum epilogue epilogue, const struct eo_gemm_tile *t) {
    static const int32_t zeros[NR];
    const size_t element = epilogue == REQUANTIZE ? 1 : sizeof(float);
    int32_t corrections[ROWS] = {0};
    if (epilogue == REQUANTIZE) {
        const struct eo_u8_gemm_parameters *p = t->parameters;
        if (p->weight_zero_point != 0) row_corrections(t, p->weight_zero_point, corrections);
    }
    const struct eo_hybrid_row *grids = t->row_parameters;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (HEAD(epilogue) * 4 + t->depth)) {
        const size_t columns = t->columns - column < NR ? t->columns - column : NR;
        const int32_t *head = (const int32_t *)block;
        const float *scale = (const float *)(head + NR);
        _Alignas(sizeof(ivec)) int32_t totals[ROWS * NR];
        multiply_rows[t->rows - 1](t, columns <= LANES, epilogue == REQUANTIZE ? head : zeros,
                                   (const int8_t *)(head + HEAD(epilogue) * NR), totals);
        for (size_t i = 0; i < t->rows; i++) {
            char *output = (char *)t->output + i * t->output_stride + column * element;
            for (size_t j = 0; j < columns; j += LANES) {
                const ivec total = ivec_load(totals + i * NR + j);
                if (epilogue == REQUANTIZE) {
                    requantize(t->parameters, ivec_add(total, ivec_set(corrections[i])), scale + j,
                               (uint8_t *)output + j, columns - j);
                } else {
                    const ivec zero = ivec_multiply(ivec_load(head + j), ivec_set(ROW_OFFSET - grids[i].zero_point));
                    dequantize(t->parameters, ivec_add(total, zero), scale + j, grids[i].scale, (float *)output + j,
                               columns - j);
                }
            }
        }
    }
}
