// Body of the 8-bit matrix products over an integer vocabulary and integer_products.h. Rows are uint8_t, int16_t
// widened from them, or int8_t, which are ROW_OFFSET less than the numbers they stand for.
#include "integer_products.h"
#include "u8_requantize.h"

#ifndef ROW_OFFSET
#define ROW_OFFSET 0
#endif

enum epilogue { REQUANTIZE, DEQUANTIZE };
// Numbers of 4 bytes each at the head of a block, for each column.
#define HEAD(epilogue) (epilogue == REQUANTIZE ? 2 : 3)

// Sums of the rows of a tile and a block of columns, on their way to the output.
struct totals {
    const struct eo_gemm_tile *tile;
    const int32_t *sums;        // [rows][NR]
    const int32_t *corrections; // of each row, added to its sums; null: none
    const int32_t *head;        // of the block
    char *output;
    size_t columns;
};

// The last row may be its own partner.
SIMD void requantize_rows(const int general, const int vectors, const struct totals *s) {
    const struct requantization r = requantization(s->tile->parameters);
    const size_t rows = s->tile->rows, together = ROWS_TOGETHER(vectors);
    for (size_t i = 0; i < rows; i += together) {
        struct requantized_row row[ROWS_TOGETHER(1)];
#pragma clang loop unroll(full)
        for (size_t k = 0; k < together; k++) {
            const size_t at = i + k < rows ? i + k : rows - 1;
            row[k].sums = s->sums + at * NR;
            row[k].correction = general && s->corrections ? s->corrections[at] : 0;
            row[k].output = s->output + at * s->tile->output_stride;
        }
        requantize_together(general, vectors, &r, (const float *)(s->head + NR), s->columns, row);
    }
}

SIMD void requantize_columns(const int vectors, const struct totals *s) {
    if (!s->corrections && requantization(s->tile->parameters).is_plain)
        requantize_rows(0, vectors, s);
    else
        requantize_rows(1, vectors, s);
}

SIMD void requantize_totals(const struct totals *s) {
    if (VECTORS == 4 && s->columns <= NR / 2)
        requantize_columns(VECTORS / 2, s);
    else
        requantize_columns(VECTORS, s);
}

// - zero point of a row * sums of the weights
SIMD ivec zero_sums(const struct eo_hybrid_row *grid, const int32_t *weight_sums) {
    return ivec_multiply(ivec_load(weight_sums), ivec_set(ROW_OFFSET - grid->zero_point));
}

// `one_grid`: all rows share one, and sums began with what its zero point takes away.
SIMD void dequantize_totals(const int one_grid, const struct totals *s) {
    // What lies in memory would be read again after each store.
    const struct eo_hybrid_gemm_parameters *p = s->tile->parameters;
    const vec low = vec_set(p->minimum), high = vec_set(p->maximum);
    const float shared_scale = eo_hybrid_row_of(s->tile, 0)->scale;
    const size_t rows = s->tile->rows, stride = s->tile->output_stride;
    for (size_t j = 0; j < s->columns; j += LANES) {
        const float *scale = (const float *)(s->head + NR) + j;
        const vec scales = vec_load(scale), shared_factor = vec_multiply(vec_set(shared_scale), scales);
        const vec bias = vec_load(scale + NR);
        const size_t part = s->columns - j < LANES ? s->columns - j : 0;
        char *output = s->output + j * sizeof(float);
        for (size_t i = 0; i < rows; i++, output += stride) {
            ivec sum = ivec_load(s->sums + i * NR + j);
            vec factor = shared_factor;
            if (!one_grid) {
                const struct eo_hybrid_row *grid = eo_hybrid_row_of(s->tile, i);
                sum = ivec_add(sum, zero_sums(grid, s->head + j));
                factor = vec_multiply(vec_set(grid->scale), scales);
            }
            const vec x = vec_clamp(vec_add(vec_multiply(ivec_to_float(sum), factor), bias), low, high);
            if (part)
                vec_store_part((float *)output, x, part);
            else
                vec_store((float *)output, x);
        }
    }
}

#ifndef ROW_RESTS
SIMD int32_t row_sum(const ROW *row, size_t depth) {
    uint32_t sum = 0;
    for (size_t k = 0; k < depth; k++) sum += (uint32_t)row[k];
    return (int32_t)sum;
}
#endif

// - weight zero point * sum of the row
SIMD void row_corrections(const struct eo_gemm_tile *t, int32_t weight_zero_point, int32_t *corrections) {
    for (size_t i = 0; i < t->rows; i++) {
        const ROW *row = (const ROW *)((const char *)t->input + i * t->input_stride);
        corrections[i] = (int32_t)(0 - (uint32_t)weight_zero_point * (uint32_t)row_sum(row, t->depth));
    }
}

// Of one block.
SIMD void leave(const enum epilogue epilogue, const bool one_grid, const struct totals *s) {
    if (epilogue == REQUANTIZE)
        requantize_totals(s);
    else if (one_grid)
        dequantize_totals(1, s);
    else
        dequantize_totals(0, s);
}

// All columns of a tile.
SIMD void tile(const enum epilogue epilogue, const struct eo_gemm_tile *t) {
    int32_t corrections[MR], rests[MR], start[NR] = {0};
    _Alignas(64) int32_t sums[MR * NR];
    struct totals s = {.tile = t, .sums = sums, .head = t->weights, .output = t->output};
    const struct eo_u8_gemm_parameters *p = t->parameters;
    if (epilogue == REQUANTIZE && p->weight_zero_point != 0) {
        row_corrections(t, p->weight_zero_point, corrections);
        s.corrections = corrections;
    }
    const bool one_grid = epilogue == DEQUANTIZE && t->row_parameters_stride == 0 && t->rows > 1;
    struct operands o = {
        .input = t->input, .stride = t->input_stride, .depth = t->depth, .start = start, .rests = rests};
    o.apart = NR * (HEAD(epilogue) * sizeof(int32_t) + t->depth);
    o.start_apart = epilogue == REQUANTIZE ? o.apart : 0;
#ifdef ROW_RESTS
    for (size_t i = 0; i < t->rows; i++) rests[i] = row_end_rest((const ROW *)(o.input + i * o.stride), o.depth);
#endif
    for (size_t column = 0; column < t->columns;) {
        o.weights = (const int8_t *)(s.head + HEAD(epilogue) * NR);
        if (epilogue == REQUANTIZE) o.start = s.head;
        if (one_grid)
            for (size_t j = 0; j < NR; j += LANES) ivec_store(start + j, zero_sums(t->row_parameters, s.head + j));
        size_t blocks = multiply_blocks(t->rows, t->columns - column, &o, sums);
        for (s.sums = sums; blocks > 0; blocks--, column += NR, s.sums += NR) {
            s.columns = t->columns - column < NR ? t->columns - column : NR;
            leave(epilogue, one_grid, &s);
            s.head += o.apart / sizeof *s.head;
            s.output += NR * (epilogue == REQUANTIZE ? 1 : sizeof(float));
        }
    }
}
