// Gradients of filters in bfloat16, and weights packed for products of bfloat16 from floats that lie anywhere.
#include "check.h"

static float rounded(float x) {
    uint16_t y;
    eo_f32_to_bf16__scalar(1, &x, &y);
    const uint32_t bits = (uint32_t)y << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool same(const struct block *a, const struct block *b) { return memcmp(a->base, b->base, a->size) == 0; }

typedef void arrange_function(const struct eo_bf16_line *line);

static struct block arranged(arrange_function *run, const struct eo_bf16_line *line, size_t size) {
    struct block to = block_of(size * sizeof(uint16_t));
    struct eo_bf16_line l = *line;
    l.to = to.base;
    run(&l);
    return to;
}

static void line_case(const char *name, arrange_function *run, arrange_function *twin, bool pairs, size_t pixels,
                      size_t channels) {
    const size_t step = channels + (size_t)number(0, 5), blocks = (channels + 15) / 16;
    struct block from = floats((pixels - 1) * step + channels);
    struct eo_bf16_line line = {.from = from.base, .pixels = pixels, .channels = channels, .step = step};
    line.filled = (pixels + 1) / 2 * 2 + 2 * (size_t)number(0, 20);
    line.to_step = pairs ? line.filled * 16 : pixels + (size_t)number(0, 3);
    const size_t size = pairs ? blocks * line.to_step : (channels - 1) * line.to_step + pixels;
    struct block found = arranged(run, &line, size), expected = arranged(twin, &line, size);
    check(same(&found, &expected), name, "%zu pixels of %zu channels", pixels, channels);
    block_free(&from), block_free(&found), block_free(&expected);
}

static struct block bfloats(size_t count) {
    struct block from = floats(count), to = block_of(count * sizeof(uint16_t));
    eo_f32_to_bf16__scalar(count, from.base, to.base);
    block_free(&from);
    return to;
}

static void outer_case(const eo_bf16_outer_kernel *kernel, eo_bf16_outer_function *twin, size_t rows, size_t columns) {
    const size_t steps = (size_t)number(1, 3), images = (size_t)number(1, 3), height = (size_t)number(1, 16);
    const size_t pixels = steps * EO_OUTER_STEP, shift = (size_t)number(0, 5), step = 3 * 16 + 2;
    struct block a = bfloats(images * 16 * (pixels + 5)), b = bfloats(images * 32 * pixels);
    struct block start = floats((columns - 1) * step + 48), found = block_copy(start.base, start.size);
    struct block expected = block_copy(start.base, start.size);
    struct eo_bf16_outer_tile tile = {.rows = rows, .columns = columns, .a_step = pixels + 5, .b = b.base};
    tile.b_step = 16 * pixels, tile.images = images, tile.steps = steps;
    tile.a_image = 16 * (pixels + 5), tile.b_image = 32 * pixels, tile.output_step = step, tile.adds = rows % 2;
    for (int i = 0; i < 2; i++) {
        for (size_t r = 0; r < rows; r++) {
            tile.a[r] = (uint16_t *)a.base + shift * (r != 1);
            tile.height[r] = r == 0 ? height : (height + 1) / 2;
            tile.output[r] = (float *)(i ? expected : found).base + 16 * r;
        }
        (i ? twin : kernel->run)(&tile);
    }
    const float terms = (float)(images * pixels + 1);
    check(alike(found.base, expected.base, start.size / 4, terms * terms * 0x1p-24f), kernel->name, "%zu x %zu", rows,
          columns);
    block_free(&a), block_free(&b), block_free(&start), block_free(&found), block_free(&expected);
}

static struct eo_window any_window(void) {
    struct eo_window w = {.batch = (size_t)number(1, 5), .groups = 1};
    w.kernel_height = (size_t)number(1, 3), w.kernel_width = (size_t)number(1, 5);
    w.stride_height = (size_t)number(1, 3), w.stride_width = (size_t)number(1, 3);
    w.dilation_height = (size_t)number(1, 2), w.dilation_width = (size_t)number(1, 2);
    if (number(0, 3) == 0)
        w.kernel_height = w.kernel_width = w.stride_height = w.stride_width = 1;
    else
        w.padding_top = (size_t)number(0, 2), w.padding_left = (size_t)number(0, 2);
    w.output_height = (size_t)number(1, 9), w.output_width = (size_t)number(1, 40);
    // What the last taps meet may lie outside; what the image has beyond them is not used.
    const size_t height = (w.output_height - 1) * w.stride_height + (w.kernel_height - 1) * w.dilation_height + 1;
    const size_t width = (w.output_width - 1) * w.stride_width + (w.kernel_width - 1) * w.dilation_width + 1;
    const bool is_plain = w.kernel_height * w.kernel_width * w.stride_height * w.stride_width == 1;
    w.input_height = height + (is_plain ? 0 : (size_t)number(0, 2)), w.input_width = width;
    if (w.padding_top + w.padding_left > 0) {
        w.input_height = w.input_height > w.padding_top + 1 ? w.input_height - w.padding_top - 1 : 1;
        w.input_width = w.input_width > w.padding_left + 1 ? w.input_width - w.padding_left - 1 : 1;
    }
    w.input_channels = (size_t)number(1, 40), w.output_channels = (size_t)number(1, 70);
    return w;
}

static float expected_sum(const struct eo_window *w, const float *x, const float *dz, size_t o, size_t row,
                          size_t column, size_t channel) {
    double sum = 0;
    for (size_t p = 0; p < w->batch * w->output_height * w->output_width; p++) {
        const size_t line = p / w->output_width % w->output_height, image = p / w->output_width / w->output_height;
        const size_t i = line * w->stride_height + row * w->dilation_height - w->padding_top;
        const size_t j = p % w->output_width * w->stride_width + column * w->dilation_width - w->padding_left;
        if (i >= w->input_height || j >= w->input_width) continue;
        const float a = x[((image * w->input_height + i) * w->input_width + j) * w->input_channels + channel];
        sum += (double)rounded(dz[p * w->output_channels + o]) * rounded(a);
    }
    return (float)sum;
}

// The driver, by kernels of number `table` of each family.
static void gradient_case(const eo_bf16_outer_kernel *kernel, eo_bf16_pairs_function *pairs,
                          eo_bf16_rows_function *rows) {
    struct eo_bf16_filter_gradient g = {.window = any_window(), .pairs = pairs, .rows = rows, .run = kernel->run};
    const struct eo_window w = g.window;
    const size_t pixels = w.batch * w.output_height * w.output_width;
    struct block x = floats(w.batch * w.input_height * w.input_width * w.input_channels);
    struct block dz = floats(pixels * w.output_channels);
    eo_bf16_filter_gradient_plan(&g);
    if (g.images > 2 && number(0, 1)) g.images = 2;
    struct block dw = block_of(w.output_channels * g.depth * 4), db = block_of(w.output_channels * 4);
    // As aligned as the library's.
    struct block scratch = block_of((g.scratch_size + 63) / 64 * 64);
    g.add_biases = eo_f32_outer__scalar, g.input = x.base, g.dz = dz.base, g.dw = dw.base, g.db = db.base;
    g.scratch = scratch.base;
    for (; g.first < g.window.batch; g.first += g.images) {
        g.count = g.window.batch - g.first < g.images ? g.window.batch - g.first : g.images;
        for (size_t image = 0; image < g.count; image++) eo_bf16_filter_gradient_arrange(&g, image);
        for (size_t unit = 0; unit < eo_bf16_filter_gradient_units(&g); unit++) eo_bf16_filter_gradient_work(&g, unit);
        eo_bf16_filter_gradient_join(&g);
    }
    const float terms = (float)(pixels + 1);
    for (size_t i = 0; i < w.output_channels * g.depth; i++) {
        const size_t channel = i % w.input_channels, tap = i % g.depth / w.input_channels;
        const float expected =
            expected_sum(&w, x.base, dz.base, i / g.depth, tap / w.kernel_width, tap % w.kernel_width, channel);
        if (!check(alike((float *)dw.base + i, &expected, 1, terms * 8 * 0x1p-20f), kernel->name,
                   "gradient of %zux%zu filters, stride %zux%zu, %zux%zu channels: %g, not %g", w.kernel_height,
                   w.kernel_width, w.stride_height, w.stride_width, w.input_channels, w.output_channels,
                   ((float *)dw.base)[i], expected))
            break;
    }
    for (size_t o = 0; o < w.output_channels; o++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++) sum += ((float *)dz.base)[p * w.output_channels + o];
        const float expected = (float)sum;
        check(alike((float *)db.base + o, &expected, 1, terms * 8 * 0x1p-20f), kernel->name, "gradient of bias");
    }
    block_free(&x), block_free(&dz), block_free(&dw), block_free(&db), block_free(&scratch);
}

// Weights in one piece are those of eo_bf16_gemm_pack, wherever they come from.
static void pack_case(const eo_bf16_gemm_kernel *kernel, size_t taps, size_t channels, size_t columns, bool turned) {
    const size_t depth = taps * channels, nr = (size_t)kernel->nr, size = eo_bf16_gemm_pieces_size(kernel, depth, 1);
    struct block weights = floats(columns * depth), bias = floats(columns), given = block_of(columns * depth * 4);
    struct block found = block_of((columns + nr - 1) / nr * size);
    struct block expected = block_of(eo_bf16_gemm_packed_size(kernel, depth, columns));
    size_t tap[9];
    for (size_t t = 0; t < taps; t++) tap[t] = (taps - 1 - t) * channels * (turned ? columns : 1);
    struct eo_strided_weights w = {given.base, tap, taps, channels, columns, 1, depth, bias.base};
    if (turned) w.depth_stride = columns, w.column_stride = 1;
    for (size_t k = 0; k < depth; k++)
        for (size_t j = 0; j < columns; j++)
            ((float *)given.base)[tap[k / channels] + k % channels * w.depth_stride + j * w.column_stride] =
                ((float *)weights.base)[j * depth + k];
    for (size_t j = 0; j < columns; j += nr)
        eo_bf16_gemm_pack_block(kernel, 1, &w, j, (char *)found.base + j / nr * size);
    eo_bf16_gemm_pack(kernel, depth, columns, weights.base, bias.base, expected.base);
    check(found.size == expected.size && same(&found, &expected), kernel->name, "packed %zux%zux%zu%s", taps, channels,
          columns, turned ? ", turned" : "");
    block_free(&weights), block_free(&bias), block_free(&given), block_free(&found), block_free(&expected);
}

// Rows straight from lines of an image, in a piece for each kernel row.
static void lines_case(const eo_bf16_gemm_kernel *kernel, size_t channels, size_t columns) {
    enum { TAPS = 3, WIDTH = 21, LINES = 4 };
    const size_t line = (WIDTH + TAPS - 1) * channels, depth = TAPS * TAPS * channels, nr = (size_t)kernel->nr;
    const size_t size = eo_bf16_gemm_pieces_size(kernel, depth, TAPS);
    struct block image = bfloats((LINES + TAPS - 1) * line), weights = floats(columns * depth), bias = floats(columns);
    struct block packed = block_of((columns + nr - 1) / nr * size), found = block_of(LINES * WIDTH * columns * 4);
    const size_t tap[] = {0};
    const struct eo_strided_weights w = {weights.base, tap, 1, depth, columns, 1, depth, bias.base};
    for (size_t j = 0; j < columns; j += nr)
        eo_bf16_gemm_pack_block(kernel, TAPS, &w, j, (char *)packed.base + j / nr * size);
    const struct eo_f32_gemm_parameters parameters = {-1e9f, 1e9f};
    const struct eo_gemm_tile tile = {.rows = LINES * WIDTH,
                                      .columns = columns,
                                      .depth = depth,
                                      .input = image.base,
                                      .input_stride = channels * 2,
                                      .weights = packed.base,
                                      .output = found.base,
                                      .output_stride = columns * 4,
                                      .parameters = &parameters,
                                      .segments = TAPS,
                                      .line_rows = WIDTH,
                                      .line_stride = line * 2,
                                      .segment_stride = line * 2};
    kernel->run(&tile);
    for (size_t i = 0; i < LINES * WIDTH; i++)
        for (size_t j = 0; j < columns; j++) {
            double sum = ((float *)bias.base)[j];
            for (size_t k = 0; k < depth; k++) {
                const size_t at = (i / WIDTH + k / TAPS / channels) * line + i % WIDTH * channels;
                const uint32_t bits = (uint32_t)((uint16_t *)image.base)[at + k % (TAPS * channels)] << 16;
                float x;
                memcpy(&x, &bits, sizeof x);
                sum += (double)x * rounded(((float *)weights.base)[j * depth + k]);
            }
            const float expected = (float)sum;
            check(alike((float *)found.base + i * columns + j, &expected, 1, (float)depth * 8 * 0x1p-20f), kernel->name,
                  "lines of %zu channels, %zu columns", channels, columns);
        }
    block_free(&image), block_free(&weights), block_free(&bias), block_free(&packed), block_free(&found);
}

void test_bfloats(void) {
    int count, pair_count, row_count, gemm_count;
    const eo_bf16_pairs_kernel *pairs = eo_bf16_pairs_rows(&pair_count);
    const eo_bf16_rows_kernel *rows = eo_bf16_rows_rows(&row_count);
    const eo_bf16_outer_kernel *outer = eo_bf16_outer_rows(&count);
    const eo_bf16_gemm_kernel *gemm = eo_bf16_gemm_rows(&gemm_count);
    for (int i = 0; i < 40; i++) gradient_case(outer + count - 1, eo_bf16_pairs__scalar, eo_bf16_rows__scalar);
    for (int i = 0; i < gemm_count; i++) {
        if (!kernels_isa_available(gemm[i].isa)) continue;
        for (size_t taps = 1; taps <= 9; taps += 4)
            for (size_t channels = 1; channels <= 37; channels += 3)
                for (size_t columns = 1; columns <= 70; columns += 23)
                    pack_case(gemm + i, taps, channels, columns, (channels + columns) % 2);
        for (size_t channels = 8; gemm[i].isa == ISA_AMX && channels <= 40; channels += 4)
            lines_case(gemm + i, channels, channels + 9);
    }
    for (int i = 0; i + 1 < count; i++) {
        if (!kernels_isa_available(outer[i].isa)) continue;
        for (size_t pixels = 1; pixels <= 70; pixels++)
            for (size_t channels = 1; channels <= 40; channels += (size_t)number(1, 5)) {
                line_case(pairs[i].name, pairs[i].run, eo_bf16_pairs__scalar, true, pixels, channels);
                line_case(rows[i].name, rows[i].run, eo_bf16_rows__scalar, false, pixels, channels);
            }
        for (size_t r = 1; r <= EO_OUTER_ROWS; r++)
            for (size_t columns = 1; columns <= EO_OUTER_COLUMNS; columns++)
                outer_case(outer + i, outer[count - 1].run, r, columns);
        for (int k = 0; k < 200; k++) gradient_case(outer + i, pairs[i].run, rows[i].run);
        compared(pairs[i].name, NULL), compared(rows[i].name, NULL), compared(outer[i].name, NULL);
    }
}
