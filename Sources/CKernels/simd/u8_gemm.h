// Body of the 8-bit matrix products over an integer vocabulary and these words of the instruction set's way to
// multiply:
//   PRODUCTS    the header of the products, if they are not those of u8_gemm_quads.h; it says which words it needs
//   ROW         element type of a row: uint8_t, int16_t widened, or int8_t
//   ROW_OFFSET  what int8_t rows are less than the numbers they stand for
//   VECTORS     vectors of columns in a block
//   MR          rows of a tile
//   HALF_COUNTS UP_TO_n of row_counts.h, n half of MR
//   REQUANTIZE_TOTALS  defined where the instruction set has a requantize_totals of its own
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

// Sums of the rows of a tile and a block of columns, on their way to the output.
struct totals {
    const struct eo_gemm_tile *tile;
    const int32_t *sums;        // [rows][NR], 64-byte aligned
    const int32_t *corrections; // of each row, added to its sums; null: none
    const int32_t *head;        // of the block
    char *output;
    size_t columns;
};

SIMD void requantize_totals(const struct totals *s);
#ifndef REQUANTIZE_TOTALS
SIMD void requantize_totals(const struct totals *s) {
    const struct eo_u8_gemm_parameters *p = s->tile->parameters;
    const float *scale = (const float *)(s->head + NR);
    for (size_t i = 0; i < s->tile->rows; i++) {
        const ivec correction = ivec_set(s->corrections ? s->corrections[i] : 0);
        for (size_t j = 0; j < s->columns; j += LANES) {
            const ivec sum = ivec_add(ivec_load(s->sums + i * NR + j), correction);
            vec x = vec_multiply(ivec_to_float(sum), vec_load(scale + j));
            x = vec_clamp(x, vec_set(p->minimum), vec_set(p->maximum));
            ivec_store_bytes(s->output + i * s->tile->output_stride + j,
                             ivec_add(vec_round(x), ivec_set(p->output_zero_point)), s->columns - j);
        }
    }
}
#endif

SIMD void dequantize_totals(const struct totals *s) {
    const struct eo_hybrid_gemm_parameters *p = s->tile->parameters;
    const struct eo_hybrid_row *grids = s->tile->row_parameters;
    const float *scale = (const float *)(s->head + NR);
    for (size_t i = 0; i < s->tile->rows; i++) {
        float *output = (float *)(s->output + i * s->tile->output_stride);
        for (size_t j = 0; j < s->columns; j += LANES) {
            const ivec zero = ivec_multiply(ivec_load(s->head + j), ivec_set(ROW_OFFSET - grids[i].zero_point));
            const vec sum = ivec_to_float(ivec_add(ivec_load(s->sums + i * NR + j), zero));
            vec x = vec_multiply(sum, vec_multiply(vec_set(grids[i].scale), vec_load(scale + j)));
            x = vec_add(x, vec_load(scale + NR + j));
            x = vec_clamp(x, vec_set(p->minimum), vec_set(p->maximum));
            if (s->columns - j >= LANES)
                vec_store(output + j, x);
            else
                vec_store_part(output + j, x, s->columns - j);
        }
    }
}

// multiply(rows, vectors, tile, input, start, weights, totals): totals[rows][NR] = start + products of the rows from
// `input` on and a block's weights. `rows` and `vectors` are constants where it is called: everything unrolls and the
// sums stay in registers.
#include PRODUCTS

// The products alone exist for each number of rows, up to half of a tile's and all (others in two parts: more copies
// are not worth their size); what follows them is there once, and both kernels share the products.
typedef void multiplication(const struct eo_gemm_tile *t, const char *input, const int32_t *start, const int8_t *w,
                            int32_t *totals);
#define PRODUCTS_OF(R, V, NAME)                                                                                        \
    static TARGET void NAME(const struct eo_gemm_tile *t, const char *input, const int32_t *start, const int8_t *w,    \
                            int32_t *totals) {                                                                         \
        multiply(R, V, t, input, start, w, totals);                                                                    \
    }
#define MULTIPLY(R) PRODUCTS_OF(R, 1, narrow_##R) PRODUCTS_OF(R, VECTORS, multiply_##R)
HALF_COUNTS(MULTIPLY)
PRODUCTS_OF(MR, 1, narrow_all)
PRODUCTS_OF(MR, VECTORS, multiply_all)
// By the number of rows; 0: all.
#define MULTIPLY_NAMES(R) {narrow_##R, multiply_##R},
static multiplication *const multiply_rows[][2] = {{narrow_all, multiply_all}, HALF_COUNTS(MULTIPLY_NAMES)};

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
    int32_t corrections[MR];
    _Alignas(64) int32_t sums[MR * NR];
    struct totals s = {.tile = t, .sums = sums, .output = t->output};
    const struct eo_u8_gemm_parameters *p = t->parameters;
    if (epilogue == REQUANTIZE && p->weight_zero_point != 0) {
        row_corrections(t, p->weight_zero_point, corrections);
        s.corrections = corrections;
    }
    const size_t rows = t->rows < MR && t->rows > MR / 2 ? (t->rows + 1) / 2 : t->rows;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (HEAD(epilogue) * 4 + t->depth)) {
        s.head = (const int32_t *)block;
        s.columns = t->columns - column < NR ? t->columns - column : NR;
        for (size_t first = 0; first < t->rows; first += rows) {
            const size_t count = t->rows - first < rows ? t->rows - first : rows;
            multiply_rows[count % MR][s.columns > LANES](
                t, (const char *)t->input + first * t->input_stride, epilogue == REQUANTIZE ? s.head : zeros,
                (const int8_t *)(s.head + HEAD(epilogue) * NR), sums + first * NR);
        }
        if (epilogue == REQUANTIZE)
            requantize_totals(&s);
        else
            dequantize_totals(&s);
        s.output += NR * (epilogue == REQUANTIZE ? 1 : sizeof(float));
    }
}
