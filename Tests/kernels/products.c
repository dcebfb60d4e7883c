// The matrix products. Each case makes one problem's numbers, of which every kernel gets its own form.
#include "products.h"

struct block run(const struct product *p, eo_gemm_function *kernel, size_t step, const struct block *input,
                 const struct block *packed) {
    const size_t stride = p->size.columns * p->output_size + GAP, row = input->size / p->size.rows;
    struct block output = block_of(p->size.rows * stride - GAP);
    for (size_t first = 0; first < p->size.rows; first += step) {
        const struct eo_gemm_tile tile = {
            .rows = p->size.rows - first < step ? p->size.rows - first : step,
            .columns = p->size.columns,
            .depth = p->filled,
            .input = (const char *)input->base + first * row,
            .input_stride = row,
            .weights = packed->base,
            .output = (char *)output.base + first * stride,
            .output_stride = stride,
            .parameters = p->parameters,
            .row_parameters = (const char *)p->row_parameters + first * p->row_parameters_stride,
            .row_parameters_stride = p->row_parameters_stride,
            .rounds = p->output_size == sizeof(uint16_t), // of bfloat16
        };
        kernel(&tile);
    }
    return output;
}

bool same(const struct block *a, const struct block *b) {
    return a->size == b->size && memcmp(a->base, b->base, a->size) == 0;
}

static size_t rows_of(int mr, size_t rows) { return rows < (size_t)mr ? rows : (size_t)mr; }

void each_size(int mr, int nr, void (*body)(const void *kernel, struct size), const void *kernel) {
    static const size_t many[] = {1, 2, 15, 16, 17, 31, 32, 33, 49, 99, 256};
    static const size_t depths[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 20, 61, 64, 65, 96, 132, 576};
    enum { MANY = sizeof many / sizeof *many, DEPTHS = sizeof depths / sizeof *depths };
    const bool blocks = mr >= 32;
    for (int i = 0; i < (blocks ? MANY : mr); i++) {
        const size_t rows = blocks ? many[i] : (size_t)i + 1;
        const bool all = rows == 1 || rows == (size_t)mr;
        for (size_t columns = 1; columns <= 2 * (size_t)nr + 1; columns += all ? 1 : 5)
            for (int d = blocks || all ? 0 : (int)columns % 3; d < DEPTHS; d += blocks || all ? 1 : 3)
                if (depths[d] < 60 || columns % 8 < 2) body(kernel, (struct size){rows, columns, depths[d]});
    }
    // Several blocks of columns at once, and what is left of them.
    for (size_t columns = 4 * (size_t)nr; columns <= 9 * (size_t)nr; columns += (size_t)nr + 3)
        for (int d = 0; d < DEPTHS; d++) body(kernel, (struct size){1, columns, depths[d]});
    // Layers of real networks: MobileNetV1's classifier, V2's last convolution, a 3x3 convolution of ResNet.
    body(kernel, (struct size){1, 1001, 1024});
    body(kernel, (struct size){rows_of(mr, 49), 64, 320});
    body(kernel, (struct size){rows_of(mr, 196), 72, 9 * 128});
}

// ---------------------------------------------------------------------------------------------------------- float32

static struct block float_product(const eo_f32_gemm_kernel *kernel, const struct product *p, size_t step,
                                  const struct block *input, const float *weights, const float *bias) {
    struct block packed = block_of(eo_f32_gemm_packed_size(kernel->nr, p->size.depth, p->size.columns));
    eo_f32_gemm_pack(kernel->nr, p->size.depth, p->size.columns, weights, bias, packed.base);
    struct block output = run(p, kernel->run, step, input, &packed);
    block_free(&packed);
    return output;
}

static const eo_f32_gemm_kernel *float_twin;

static void float_case(const void *kernel_, struct size size) {
    const eo_f32_gemm_kernel *kernel = kernel_;
    const struct eo_f32_gemm_parameters parameters = {-1.5f, 1.25f};
    const struct product p = {size, size.depth, sizeof(float), &parameters, NULL, 0};
    struct block input = floats(size.rows * size.depth), weights = floats(size.columns * size.depth);
    struct block bias = floats(size.columns);
    struct block found = float_product(kernel, &p, size.rows, &input, weights.base, bias.base);
    struct block expected = float_product(float_twin, &p, 1, &input, weights.base, bias.base);
    // Half an ulp for each of depth products and sums, whose absolute values are at most depth + 1.
    const float terms = (float)(size.depth + 1);
    check(alike(found.base, expected.base, found.size / sizeof(float), terms * terms * 0x1p-23f), kernel->name,
          "%zux%zux%zu", size.rows, size.columns, size.depth);
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&found), block_free(&expected);
}

// Rows in pieces give the bits of rows in one piece. `apart`: equally far, and the table has only the first row's.
static void pieces_case(const eo_f32_gemm_kernel *kernel, size_t segments, size_t piece, size_t columns, bool apart) {
    const size_t rows = kernel->mr, depth = segments * piece;
    const struct eo_f32_gemm_parameters parameters = {-1.5f, 1.25f};
    const struct product p = {{rows, columns, depth}, depth, sizeof(float), &parameters, NULL, 0};
    struct block input = floats(rows * depth), weights = floats(columns * depth), output = block_of(rows * columns * 4);
    struct block packed = block_of(eo_f32_gemm_packed_size(kernel->nr, depth, columns));
    eo_f32_gemm_pack(kernel->nr, depth, columns, weights.base, NULL, packed.base);
    const void **table = malloc(segments * rows * sizeof *table);
    for (size_t s = 0; s < segments; s++)
        for (size_t i = 0; i < rows; i++)
            table[s * rows + i] = apart && i > 0 ? NULL : (const float *)input.base + i * depth + s * piece;
    struct eo_gemm_tile tile = {.rows = rows, .columns = columns, .depth = depth, .input = input.base};
    tile.weights = packed.base, tile.output = output.base, tile.output_stride = columns * sizeof(float);
    tile.parameters = &parameters, tile.segments = segments, tile.segment = table;
    tile.input_stride = apart ? depth * sizeof(float) : 0;
    kernel->run(&tile);
    struct block whole = run(&p, kernel->run, rows, &input, &packed);
    for (size_t i = 0; i < rows; i++)
        check(memcmp((char *)whole.base + i * (columns * 4 + GAP), (char *)output.base + i * columns * 4,
                     columns * 4) == 0,
              kernel->name, "%zu pieces of %zu, %zu columns", segments, piece, columns);
    free(table);
    block_free(&input), block_free(&weights), block_free(&output), block_free(&packed), block_free(&whole);
}

// ------------------------------------------------------------------------------------------------------ sparse float

static const eo_f32_sparse_kernel *sparse_twin;

static struct block sparse_product(const eo_f32_sparse_kernel *kernel, const struct product *p, size_t step,
                                   const struct block *input, const float *weights, const float *bias) {
    const size_t groups = eo_f32_sparse_groups(p->size.depth, p->size.columns, weights, SIZE_MAX);
    struct block packed = block_of(eo_f32_sparse_packed_size(p->size.columns, groups));
    eo_f32_sparse_pack(p->size.depth, p->size.columns, weights, bias, packed.base);
    struct block output = run(p, kernel->run, step, input, &packed);
    block_free(&packed);
    return output;
}

// Groups of weights that are zero, and single zeros in others.
static void sparse_case(const void *kernel_, struct size size) {
    const eo_f32_sparse_kernel *kernel = kernel_;
    const struct eo_f32_gemm_parameters parameters = {-1.5f, 1.25f};
    const struct product p = {size, size.depth, sizeof(float), &parameters, NULL, 0};
    struct block input = floats(size.rows * size.depth), weights = floats(size.columns * size.depth);
    struct block bias = floats(size.columns);
    float *w = weights.base;
    size_t groups = 0;
    for (size_t first = 0; first < size.columns; first += EO_SPARSE_COLUMNS)
        for (size_t k = 0; k < size.depth; k++) {
            const bool is_zero = number(0, 3) > 0;
            bool is_used = false;
            for (size_t j = first; j < first + EO_SPARSE_COLUMNS && j < size.columns; j++) {
                if (is_zero || number(0, 4) == 0) w[j * size.depth + k] = 0;
                is_used = is_used || w[j * size.depth + k] != 0;
            }
            groups += is_used;
        }
    check(eo_f32_sparse_groups(size.depth, size.columns, w, SIZE_MAX) == groups, kernel->name, "%zu groups", groups);
    struct block found = sparse_product(kernel, &p, size.rows, &input, w, bias.base);
    struct block expected = sparse_product(sparse_twin, &p, 1, &input, w, bias.base);
    struct block dense = float_product(float_twin, &p, 1, &input, w, bias.base);
    const float terms = (float)(size.depth + 1);
    check(alike(found.base, expected.base, found.size / sizeof(float), terms * terms * 0x1p-23f), kernel->name,
          "%zux%zux%zu", size.rows, size.columns, size.depth);
    check(alike(expected.base, dense.base, dense.size / sizeof(float), terms * terms * 0x1p-23f), kernel->name,
          "%zux%zux%zu beside the dense product", size.rows, size.columns, size.depth);
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&found), block_free(&expected);
    block_free(&dense);
}

// --------------------------------------------------------------------------------------------------------- bfloat16

static struct block bfloat_product(const eo_bf16_gemm_kernel *kernel, const struct product *p, size_t step,
                                   const struct block *input, const float *weights, const float *bias) {
    const size_t blocks = (p->size.columns + (size_t)kernel->nr - 1) / (size_t)kernel->nr;
    struct block packed = block_of(blocks * eo_bf16_gemm_packed_size(kernel, p->size.depth, 1));
    eo_bf16_gemm_pack(kernel, p->size.depth, 1, p->size.columns, weights, bias, packed.base);
    struct block output = run(p, kernel->run, step, input, &packed);
    block_free(&packed);
    return output;
}

static const eo_bf16_gemm_kernel *bfloat_twin;

static void bfloat_case(const void *kernel_, struct size size) {
    const eo_bf16_gemm_kernel *kernel = kernel_;
    const struct eo_f32_gemm_parameters parameters = {-1.5f, 1.25f};
    const size_t filled = (size.depth + 1) / 2 * 2;
    const struct product p = {size, filled, sizeof(float), &parameters, NULL, 0};
    struct block numbers = floats(size.rows * filled), weights = floats(size.columns * size.depth);
    for (size_t i = 0; i < size.rows && filled > size.depth; i++) ((float *)numbers.base)[i * filled + size.depth] = 0;
    struct block input = block_of(size.rows * filled * sizeof(uint16_t)), bias = floats(size.columns);
    struct block twin = block_of(size.rows * filled * sizeof(uint16_t));
    eo_f32_to_bf16_best()->run(size.rows * filled, numbers.base, input.base);
    eo_f32_to_bf16__scalar(size.rows * filled, numbers.base, twin.base);
    check(same(&input, &twin), eo_f32_to_bf16_best()->name, "%zu numbers", size.rows * filled);
    struct block found = bfloat_product(kernel, &p, size.rows, &input, weights.base, bias.base);
    struct block expected = bfloat_product(bfloat_twin, &p, 1, &input, weights.base, bias.base);
    const float terms = (float)(size.depth + 1);
    check(alike(found.base, expected.base, found.size / sizeof(float), terms * terms * 0x1p-23f), kernel->name,
          "%zux%zux%zu", size.rows, size.columns, size.depth);
    struct product rounding = p;
    rounding.output_size = sizeof(uint16_t);
    struct block rounded = bfloat_product(kernel, &rounding, size.rows, &input, weights.base, bias.base);
    for (size_t i = 0; i < size.rows; i++) {
        uint16_t row[2048];
        eo_f32_to_bf16__scalar(size.columns, (float *)((char *)found.base + i * (size.columns * 4 + GAP)), row);
        check(memcmp(row, (char *)rounded.base + i * (size.columns * 2 + GAP), size.columns * 2) == 0, kernel->name,
              "%zux%zux%zu, rounded", size.rows, size.columns, size.depth);
    }
    block_free(&numbers), block_free(&weights), block_free(&input), block_free(&bias), block_free(&twin);
    block_free(&found), block_free(&expected), block_free(&rounded);
}

// --------------------------------------------------------------------------------------------------- bytes to bytes

struct block byte_rows(enum kernels_isa isa, const struct size *size, const uint8_t *from, bool wanted,
                       bool *is_signed) {
    const size_t step = eo_gemm_depth_step(isa), filled = (size->depth + step - 1) / step * step;
    const size_t row_size = eo_gemm_row_size(isa, filled);
    *is_signed = !eo_gemm_takes_unsigned_rows(isa) || (wanted && eo_gemm_takes_signed_rows(isa));
    struct block rows = block_of(size->rows * row_size);
    memset(rows.base, 0, rows.size);
    for (size_t i = 0; i < size->rows; i++) {
        uint8_t *row = (uint8_t *)rows.base + i * row_size;
        int32_t rest = 0;
        for (size_t k = 0; k < size->depth; k++) {
            const uint8_t byte = from[i * size->depth + k] ^ (*is_signed ? 0x80 : 0);
            if (!eo_gemm_takes_magnitudes(isa)) {
                row[eo_gemm_row_size(isa, k)] = byte;
            } else if ((int8_t)byte < 0) {
                row[k / 4 * 8 + k % 4] = (uint8_t)-byte;
                row[k / 4 * 8 + 4 + k % 4] = 0xff;
                rest += (uint8_t)-byte;
            } else {
                row[k / 4 * 8 + k % 4] = byte;
            }
        }
        if (eo_gemm_takes_magnitudes(isa)) memcpy(row + 2 * filled, &rest, sizeof rest);
    }
    return rows;
}

struct byte_problem {
    struct size size;
    int32_t weight_zero_point;
    bool is_signed; // the output; and the rows where the kernel has the choice
    struct block input, weights, bias, scale;
};

static struct block byte_product(const eo_u8_gemm_kernel *kernel, const struct byte_problem *b, size_t step) {
    bool is_signed;
    struct block input = byte_rows(kernel->isa, &b->size, b->input.base, b->is_signed, &is_signed);
    const struct eo_u8_gemm_parameters parameters = {.minimum = -100,
                                                     .maximum = 155,
                                                     .output_zero_point = b->is_signed ? -28 : 100,
                                                     .weight_zero_point = b->weight_zero_point,
                                                     .rows_are_signed = is_signed,
                                                     .scales_below_one = b->size.rows % 2 == 0};
    const size_t depth_step = eo_gemm_depth_step(kernel->isa);
    const struct product p = {b->size, (b->size.depth + depth_step - 1) / depth_step * depth_step, 1, &parameters, NULL,
                              0};
    const struct eo_u8_gemm_weights weights = {.depth = b->size.depth,
                                               .columns = b->size.columns,
                                               .weights = b->weights.base,
                                               .flip = 0,
                                               .weight_zero_point = b->weight_zero_point,
                                               .input_zero_point = is_signed ? 3 : 131,
                                               .bias = b->bias.base,
                                               .scale = b->scale.base,
                                               .pieces = 1};
    struct block packed = block_of(eo_u8_gemm_packed_size(kernel, b->size.depth, b->size.columns, 1));
    eo_u8_gemm_pack(kernel, &weights, packed.base);
    struct block output = run(&p, kernel->run, step, &input, &packed);
    block_free(&input), block_free(&packed);
    return output;
}

static const eo_u8_gemm_kernel *byte_twin;

static void byte_case(const void *kernel_, struct size size) {
    static const int32_t zero_points[] = {0, 1, -128, 127};
    const eo_u8_gemm_kernel *kernel = kernel_;
    static unsigned turn;
    turn++;
    struct byte_problem b = {.size = size, .weight_zero_point = zero_points[turn % 4], .is_signed = turn / 4 % 2};
    b.input = bytes(size.rows * size.depth, 0, 255);
    b.weights = bytes(size.columns * size.depth, -128, 127);
    b.bias = block_of(size.columns * sizeof(int32_t));
    for (size_t i = 0; i < size.columns; i++) ((int32_t *)b.bias.base)[i] = number(-9000, 9000);
    b.scale = scales(size.columns, 1.0f / 40000);
    struct block found = byte_product(kernel, &b, size.rows), expected = byte_product(byte_twin, &b, 1);
    if (kernel == byte_twin) digest(expected.base, expected.size);
    check(same(&found, &expected), kernel->name, "%zux%zux%zu, weights' zero point %d", size.rows, size.columns,
          size.depth, b.weight_zero_point);
    block_free(&b.input), block_free(&b.weights), block_free(&b.bias), block_free(&b.scale);
    block_free(&found), block_free(&expected);
}

// A convolution by one kernel; `pieces`: of rows that it takes straight from the image, or 0.
static struct block byte_image(const eo_u8_gemm_kernel *kernel, const struct eo_window *w, size_t pieces,
                               const struct block *input, struct eo_u8_gemm_weights source, size_t workers) {
    const size_t step = eo_gemm_depth_step(kernel->isa);
    const bool is_signed = eo_gemm_takes_signed_rows(kernel->isa);
    const struct eo_u8_gemm_parameters parameters = {.minimum = -128 - 7,
                                                     .maximum = 127 - 7,
                                                     .output_zero_point = 7,
                                                     .rows_are_signed = is_signed,
                                                     .scales_below_one = true};
    source.pieces = pieces ? pieces : 1;
    source.input_zero_point = is_signed ? 5 : 133;
    struct eo_convolution c = {.window = *w, .input_element_size = 1, .output_element_size = 1};
    c.run = kernel->run, c.nr = kernel->nr;
    c.depth = (source.depth / source.pieces + step - 1) / step * step * source.pieces;
    c.block_size = eo_u8_gemm_packed_size(kernel, source.depth, 1, source.pieces);
    c.group_size = (source.columns + c.nr - 1) / c.nr * c.block_size;
    c.fill = c.depth - source.depth, c.padding = (uint8_t)source.input_zero_point, c.flip = is_signed ? 0 : 0x80;
    c.row_stride = (eo_gemm_row_size(kernel->isa, c.depth) + 64) / 64 * 64;
    if (pieces) {
        eo_convolution_by_lines(&c, pieces, workers);
    } else {
        c.gather = eo_gather_for(kernel->isa);
        c.mr = eo_convolution_rows(&c, (size_t)kernel->mr, workers);
        c.slot_size = c.row_stride * c.mr;
    }
    struct block packed = block_of(c.group_size), scratch = block_of(workers * c.slot_size);
    struct block output = block_of(w->batch * w->output_height * w->output_width * w->output_channels);
    eo_u8_gemm_pack(kernel, &source, packed.base);
    c.input = input->base, c.output = output.base, c.weights = packed.base, c.scratch = scratch.base;
    c.parameters = &parameters;
    const size_t units = eo_convolution_start(&c, workers);
    for (size_t unit = 0; unit < units; unit++) eo_convolution_work(&c, unit, unit % workers);
    block_free(&packed), block_free(&scratch);
    return output;
}

// Rows that tiles take straight from the image give the bits of gathered ones.
static void image_case(const eo_u8_gemm_kernel *kernel, const struct eo_window *w) {
    const size_t pieces = eo_convolution_pieces(w), depth = w->kernel_height * w->kernel_width * w->input_channels;
    if (!check(pieces > 0, kernel->name, "gathers %zu channels", w->input_channels)) return;
    struct block input = bytes(w->batch * w->input_height * w->input_width * w->input_channels, 0, 255);
    struct block weights = bytes(depth * w->output_channels, -128, 127), scale = scales(w->output_channels, 1e-6f);
    const struct eo_u8_gemm_weights source = {
        .depth = depth, .columns = w->output_channels, .weights = weights.base, .scale = scale.base};
    struct block expected = byte_image(byte_twin, w, 0, &input, source, 1);
    for (size_t workers = 1; workers <= 3; workers++) {
        struct block found = byte_image(kernel, w, pieces, &input, source, workers);
        check(same(&found, &expected), kernel->name, "%zux%zux%zu straight from the image, %zu workers",
              w->input_height, w->input_width, w->input_channels, workers);
        block_free(&found);
    }
    block_free(&input), block_free(&weights), block_free(&scale), block_free(&expected);
}

// Sides of image and result, kernel, stride, dilation of lines, padding, channels.
static void test_images(void) {
    static const size_t cases[][12] = {
        {1, 10, 12, 8, 10, 3, 3, 1, 1, 0, 16, 33},   {1, 17, 17, 17, 17, 3, 3, 1, 1, 1, 20, 16},
        {2, 9, 21, 9, 21, 3, 3, 1, 1, 1, 64, 40},    {1, 35, 37, 18, 19, 3, 3, 2, 1, 1, 24, 48},
        {1, 12, 40, 8, 40, 5, 5, 1, 1, 2, 16, 7},    {1, 11, 33, 9, 33, 3, 3, 1, 2, 1, 32, 64},
        {1, 9, 9, 9, 9, 1, 7, 1, 1, 3, 12, 5},       {1, 15, 19, 8, 10, 1, 1, 2, 1, 0, 128, 31},
        {1, 30, 31, 15, 16, 3, 3, 2, 1, 1, 3, 32},   {2, 20, 22, 14, 16, 7, 7, 1, 1, 0, 1, 20},
        {1, 12, 17, 10, 15, 3, 3, 1, 1, 0, 5, 33},   {1, 14, 40, 9, 17, 7, 7, 2, 1, 2, 10, 64},
        {1, 17, 17, 17, 17, 7, 1, 1, 1, 3, 20, 33},  {2, 12, 9, 10, 9, 3, 1, 1, 1, 0, 64, 40},
        {3, 11, 10, 11, 10, 5, 1, 1, 1, 2, 7, 9},    {1, 10, 11, 10, 11, 3, 3, 1, 1, 1, 90, 70},
        {1, 17, 17, 17, 17, 7, 1, 1, 1, 3, 100, 70},
    };
    int count;
    const eo_u8_gemm_kernel *table = eo_u8_gemm_rows(&count);
    for (; count-- > 0; table++) {
        if (table->isa != ISA_AMX || !kernels_isa_available(ISA_AMX)) continue;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const size_t *n = cases[i];
            const struct eo_window w = {.batch = n[0],
                                        .input_height = n[1],
                                        .input_width = n[2],
                                        .output_height = n[3],
                                        .output_width = n[4],
                                        .kernel_height = n[5],
                                        .kernel_width = n[6],
                                        .stride_height = n[7],
                                        .stride_width = n[7],
                                        .dilation_height = n[8],
                                        .dilation_width = 1,
                                        .padding_top = n[5] > 1 ? n[9] : 0,
                                        .padding_left = n[6] > 1 ? n[9] : 0,
                                        .input_channels = n[10],
                                        .output_channels = n[11],
                                        .groups = 1};
            image_case(table, &w);
        }
    }
}

// -------------------------------------------------------------------------------------------------- 16 bits, 8 bits

// Rows as the kernel takes them: `from` [rows][depth], filled up.
static struct block short_rows(enum kernels_isa isa, const struct size *size, const int16_t *from) {
    const size_t step = eo_s16_depth_step(isa), filled = (size->depth + step - 1) / step * step;
    struct block rows = block_of(size->rows * filled * 2);
    memset(rows.base, 0, rows.size);
    for (size_t i = 0; i < size->rows; i++)
        for (size_t k = 0; k < size->depth; k++) {
            const int16_t x = from[i * size->depth + k];
            uint8_t *halves = (uint8_t *)rows.base + i * filled * 2;
            if (eo_gemm_takes_split_rows(isa))
                halves[k] = (uint8_t)((uint16_t)x >> 8), halves[filled + k] = (uint8_t)x;
            else
                ((int16_t *)halves)[k] = x;
        }
    return rows;
}

struct short_problem {
    struct size size;
    const int16_t *input;
    const uint8_t *weights;
    const float *scale;
    const int64_t *bias;
    struct eo_s16_parameters parameters;
};

static struct block short_product(const eo_s16_gemm_kernel *kernel, const struct short_problem *s, size_t step) {
    const size_t depth_step = eo_s16_depth_step(kernel->isa);
    const size_t filled = (s->size.depth + depth_step - 1) / depth_step * depth_step;
    const size_t element = s->parameters.leaves_f ? sizeof(float) : sizeof(int16_t);
    const struct product p = {s->size, filled, element, &s->parameters, NULL, 0};
    struct block input = short_rows(kernel->isa, &s->size, s->input);
    struct block packed = block_of(eo_s16_gemm_packed_size(kernel, s->size.depth, s->size.columns));
    eo_s16_gemm_pack(kernel, s->size.depth, s->size.columns, s->weights, s->scale, s->bias, packed.base);
    struct block output = run(&p, kernel->run, step, &input, &packed);
    block_free(&input), block_free(&packed);
    return output;
}

static const eo_s16_gemm_kernel *short_twin;

// By turns with sums that fit 32 bits and sums that do not, with limits and zero points or without, and unrounded.
static void short_case(const void *kernel_, struct size size) {
    static const struct eo_s16_parameters parameters[] = {{-32768, 32767, 0, false, false},
                                                          {-32768, 30000, 0, false, false},
                                                          {-20000, 31000, -77, false, false},
                                                          {0, 0, 0, false, true}};
    const eo_s16_gemm_kernel *kernel = kernel_;
    static unsigned turn;
    turn++;
    struct block input = block_of(size.rows * size.depth * sizeof(int16_t));
    for (size_t i = 0; i < size.rows * size.depth; i++) ((int16_t *)input.base)[i] = (int16_t)often(-32768, 32767);
    const int32_t large = turn % 2 ? 127 : 3;
    struct block weights = bytes(size.columns * size.depth, -large - 1, large);
    struct block scale = scales(size.columns, turn % 2 ? 1.0f / 400000 : 1.0f / 4000);
    struct block bias = block_of(size.columns * sizeof(int64_t));
    for (size_t i = 0; i < size.columns; i++) ((int64_t *)bias.base)[i] = number(-90000, 90000);
    if (turn % 5 == 0) ((int64_t *)bias.base)[0] = (int64_t)often(-100, 100) << 40;
    struct short_problem s = {size, input.base, weights.base, scale.base, bias.base, parameters[turn % 4]};
    s.parameters.sums_fit_32 =
        !s.parameters.leaves_f && eo_s16_sums_fit_32(size.depth, size.columns, weights.base, bias.base);
    struct block found = short_product(kernel, &s, size.rows), expected = short_product(short_twin, &s, 1);
    if (kernel == short_twin) digest(expected.base, expected.size);
    check(same(&found, &expected), kernel->name, "%zux%zux%zu", size.rows, size.columns, size.depth);
    block_free(&input), block_free(&weights), block_free(&scale), block_free(&bias);
    block_free(&found), block_free(&expected);
}

void test_products(void) {
    TWIN(eo_f32_gemm, float_twin, float_case);
    TWIN(eo_f32_sparse, sparse_twin, sparse_case);
    TWIN(eo_bf16_gemm, bfloat_twin, bfloat_case);
    TWIN(eo_u8_gemm, byte_twin, byte_case);
    TWIN(eo_s16_gemm, short_twin, short_case);
    EACH_KERNEL(eo_f32_gemm, float_twin, float_case);
    EACH_KERNEL(eo_f32_sparse, sparse_twin, sparse_case);
    EACH_KERNEL(eo_bf16_gemm, bfloat_twin, bfloat_case);
    EACH_KERNEL(eo_u8_gemm, byte_twin, byte_case);
    test_images();
    EACH_KERNEL(eo_s16_gemm, short_twin, short_case);
    int count;
    const eo_f32_gemm_kernel *table = eo_f32_gemm_rows(&count);
    for (int i = 0; i < count; i++)
        if (kernels_isa_available(table[i].isa))
            for (size_t segments = 1; segments <= 9; segments += 4) {
                pieces_case(table + i, segments, 7, 35, false);
                pieces_case(table + i, segments, 7, 35, true);
            }
}
