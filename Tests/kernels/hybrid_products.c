// Products of dynamic range: weights of 8 bits, and of fewer in halves of bytes.
#include "products.h"

#include <math.h>

static struct block hybrid_product(const eo_hybrid_gemm_kernel *kernel, struct product p, size_t step,
                                   const uint8_t *from, const uint8_t *weights, const float *scale, const float *bias) {
    bool is_signed;
    struct block input = byte_rows(kernel->isa, &p.size, from, false, &is_signed);
    const size_t depth_step = eo_gemm_depth_step(kernel->isa);
    p.filled = (p.size.depth + depth_step - 1) / depth_step * depth_step;
    struct block packed = block_of(eo_hybrid_gemm_packed_size(kernel, p.size.depth, p.size.columns, 1));
    eo_hybrid_gemm_pack(kernel, p.size.depth, p.size.columns, weights, scale, bias, packed.base);
    struct block output = run(&p, kernel->run, step, &input, &packed);
    block_free(&input), block_free(&packed);
    return output;
}

// Integer sums as floats: activations that all have one zero point.
static struct block one_grid_product(const eo_hybrid_gemm_kernel *kernel, struct size size, size_t step,
                                     const uint8_t *from, struct eo_u8_gemm_weights weights) {
    bool is_signed;
    struct block input = byte_rows(kernel->isa, &size, from, false, &is_signed);
    const struct eo_hybrid_gemm_parameters parameters = {-1e6f, 1e6f, 0};
    const struct eo_hybrid_row grid = eo_hybrid_one_grid(kernel->isa);
    const size_t depth_step = eo_gemm_depth_step(kernel->isa);
    const size_t filled = (size.depth + depth_step - 1) / depth_step * depth_step;
    const struct product p = {size, filled, sizeof(float), &parameters, &grid, 0};
    struct block packed = block_of(eo_hybrid_gemm_packed_size(kernel, size.depth, size.columns, 1));
    weights.input_zero_point = is_signed ? 3 : 131;
    eo_hybrid_gemm_pack_one_grid(kernel, &weights, packed.base);
    struct block output = run(&p, kernel->run, step, &input, &packed);
    block_free(&input), block_free(&packed);
    return output;
}

static const eo_hybrid_gemm_kernel *hybrid_twin;

static void one_grid_case(const void *kernel_, struct size size) {
    const eo_hybrid_gemm_kernel *kernel = kernel_;
    struct block input = bytes(size.rows * size.depth, 0, 255), weights = bytes(size.columns * size.depth, -128, 127);
    struct block scale = scales(size.columns, 1.0f / 40000), bias = block_of(size.columns * sizeof(int32_t));
    for (size_t i = 0; i < size.columns; i++) ((int32_t *)bias.base)[i] = number(-9000, 9000);
    const struct eo_u8_gemm_weights w = {.depth = size.depth,
                                         .columns = size.columns,
                                         .weights = weights.base,
                                         .bias = bias.base,
                                         .scale = scale.base,
                                         .pieces = 1};
    struct block found = one_grid_product(kernel, size, size.rows, input.base, w);
    struct block expected = one_grid_product(hybrid_twin, size, 1, input.base, w);
    check(same(&found, &expected), kernel->name, "%zux%zux%zu, one zero point", size.rows, size.columns, size.depth);
    block_free(&input), block_free(&weights), block_free(&scale), block_free(&bias);
    block_free(&found), block_free(&expected);
}

static void hybrid_case(const void *kernel_, struct size size) {
    const eo_hybrid_gemm_kernel *kernel = kernel_;
    const struct eo_hybrid_gemm_parameters parameters = {-300, 300, 0};
    struct block input = bytes(size.rows * size.depth, 0, 255), weights = bytes(size.columns * size.depth, -128, 127);
    struct block scale = scales(size.columns, 1.0f / 40000), bias = floats(size.columns);
    struct block grids = block_of(size.rows * sizeof(struct eo_hybrid_row));
    for (size_t i = 0; i < size.rows; i++)
        ((struct eo_hybrid_row *)grids.base)[i] = (struct eo_hybrid_row){real() + 1.5f, number(0, 255)};
    // A grid for each row, and one for all.
    for (size_t stride = sizeof(struct eo_hybrid_row);; stride = 0) {
        const struct product p = {size, 0, sizeof(float), &parameters, grids.base, stride};
        struct block found = hybrid_product(kernel, p, size.rows, input.base, weights.base, scale.base, bias.base);
        struct block expected = hybrid_product(hybrid_twin, p, 1, input.base, weights.base, scale.base, bias.base);
        if (kernel == hybrid_twin) digest(expected.base, expected.size);
        check(same(&found, &expected), kernel->name, "%zux%zux%zu, grids %zu bytes apart", size.rows, size.columns,
              size.depth, stride);
        block_free(&found), block_free(&expected);
        if (stride == 0) break;
    }
    block_free(&input), block_free(&weights), block_free(&scale), block_free(&bias), block_free(&grids);
}

static struct block hybrid4_product(const eo_hybrid4_gemm_kernel *kernel, struct product p, size_t step,
                                    const uint8_t *from, const struct eo_hybrid4_gemm_weights *weights) {
    // Rows of zeros as deep as the kernel has them.
    struct block filled = block_of(p.size.rows * p.filled);
    for (size_t i = 0; i < p.size.rows; i++)
        memcpy((uint8_t *)filled.base + i * p.filled, from + i * p.size.depth, p.size.depth);
    struct size size = p.size;
    size.depth = p.filled;
    bool is_signed;
    struct block input = byte_rows(kernel->isa, &size, filled.base, false, &is_signed);
    struct block packed =
        block_of(eo_hybrid4_gemm_packed_size(kernel->nr, p.size.depth, p.size.columns, weights->block));
    eo_hybrid4_gemm_pack(kernel, weights, packed.base);
    struct block output = run(&p, kernel->run, step, &input, &packed);
    block_free(&filled), block_free(&input), block_free(&packed);
    return output;
}

// By the definition, from the weights as the file has them; and how far from it a result may be.
static void hybrid4_definition(const struct product *p, const uint8_t *input, const struct eo_hybrid4_gemm_weights *w,
                               size_t row, size_t column, double *result, double *error) {
    const struct eo_hybrid_row *grid =
        (const struct eo_hybrid_row *)((const char *)p->row_parameters + row * p->row_parameters_stride);
    const struct eo_hybrid_gemm_parameters *limits = p->parameters;
    double sum = 0, size = 0;
    for (size_t k = 0; k < w->depth; k++) {
        const size_t at = (w->first + column) * w->depth + k, per_byte = 8 / w->bits;
        const int raised = (int8_t)(w->weights[at / per_byte] << (8 - w->bits - at % per_byte * w->bits));
        const double weight = (raised >> (8 - w->bits)) * w->scale[column] *
                              eo_half(w->block_scale[column * w->scales + k / w->scale_block]);
        sum += (input[row * w->depth + k] - grid->zero_point) * weight;
        size += fabs(255 * weight);
    }
    *result = fmin(fmax(sum * grid->scale + w->bias[column], limits->minimum), limits->maximum);
    *error = (size * grid->scale + fabs(w->bias[column])) * (double)(w->depth / w->block + 8) * 0x1p-24;
}

static const eo_hybrid4_gemm_kernel *hybrid4_twin;

static void hybrid4_compare(const eo_hybrid4_gemm_kernel *kernel, struct size size,
                            const struct eo_hybrid4_gemm_weights *source, const struct block *input,
                            const struct block *grids, size_t stride) {
    // No byte more than there must be.
    const size_t numbers = (source->first + size.columns) * size.depth;
    struct block stored = block_copy(source->weights, (numbers * (size_t)source->bits + 7) / 8);
    struct eo_hybrid4_gemm_weights own = *source, *weights = &own;
    own.weights = stored.base;
    const struct eo_hybrid_gemm_parameters parameters = {-300, 300, weights->block};
    const struct product p = {size, (size.depth + 7) / 8 * 8, sizeof(float), &parameters, grids->base, stride};
    struct block found = hybrid4_product(kernel, p, size.rows, input->base, weights);
    struct block expected = hybrid4_product(hybrid4_twin, p, 1, input->base, weights);
    if (kernel == hybrid4_twin) digest(expected.base, expected.size);
    check(same(&found, &expected) || !eo_gemm_takes_unsigned_rows(kernel->isa), kernel->name,
          "%zux%zux%zu, blocks of %zu, %d bits", size.rows, size.columns, size.depth, weights->block, weights->bits);
    for (size_t i = 0; i < size.rows; i++)
        for (size_t j = 0; j < size.columns; j += 1 + size.columns / 7) {
            double result, error;
            hybrid4_definition(&p, input->base, weights, i, j, &result, &error);
            const float is = ((float *)((char *)found.base + i * (size.columns * sizeof(float) + GAP)))[j];
            check(fabs(is - result) <= error, kernel->name, "%zux%zux%zu at %zu %zu: %g, expected %g +- %g", size.rows,
                  size.columns, size.depth, i, j, is, result, error);
        }
    block_free(&stored), block_free(&found), block_free(&expected);
}

static void hybrid4_case(const void *kernel, struct size size) {
    struct block input = bytes(size.rows * size.depth, 0, 255), bias = floats(size.columns);
    struct block weights = bytes((size.columns + 1) * size.depth, 0, 255); // more than enough
    struct block scale = scales(size.columns, 1.0f / 40000);
    struct block block_scale = block_of(size.columns * (1 + size.depth / 8) * sizeof(uint16_t));
    for (size_t i = 0; i < block_scale.size / sizeof(uint16_t); i++)
        ((uint16_t *)block_scale.base)[i] = (uint16_t)number(0x0001, 0x3fff); // also subnormal ones
    struct block grids = block_of(size.rows * sizeof(struct eo_hybrid_row));
    for (size_t i = 0; i < size.rows; i++)
        ((struct eo_hybrid_row *)grids.base)[i] = (struct eo_hybrid_row){real() + 1.5f, number(0, 255)};
    struct eo_hybrid4_gemm_weights w = {.depth = size.depth,
                                        .columns = size.columns,
                                        .weights = weights.base,
                                        .first = size.columns % 2,
                                        .bits = 4,
                                        .block = EO_HYBRID4_BLOCK,
                                        .scale = scale.base,
                                        .bias = bias.base,
                                        .block_scale = block_scale.base,
                                        .scales = 1,
                                        .scale_block = size.depth};
    hybrid4_compare(kernel, size, &w, &input, &grids, sizeof(struct eo_hybrid_row));
    w.bits = 2;
    hybrid4_compare(kernel, size, &w, &input, &grids, 0);
    // A scale for each block, or for every second one.
    w.bits = 4;
    for (w.scale_block = 8; w.scale_block < size.depth; w.scale_block *= 4)
        if (size.depth % w.scale_block == 0) {
            w.scales = size.depth / w.scale_block;
            w.block = w.scale_block == 32 ? 16 : w.scale_block;
            hybrid4_compare(kernel, size, &w, &input, &grids, sizeof(struct eo_hybrid_row));
        }
    block_free(&input), block_free(&weights), block_free(&scale), block_free(&bias), block_free(&grids);
    block_free(&block_scale);
}

void test_hybrid_products(void) {
    TWIN(eo_hybrid_gemm, hybrid_twin, hybrid_case);
    TWIN(eo_hybrid4_gemm, hybrid4_twin, hybrid4_case);
    EACH_KERNEL(eo_hybrid_gemm, hybrid_twin, hybrid_case);
    EACH_KERNEL(eo_hybrid_gemm, hybrid_twin, one_grid_case);
    EACH_KERNEL(eo_hybrid4_gemm, hybrid4_twin, hybrid4_case);
}
