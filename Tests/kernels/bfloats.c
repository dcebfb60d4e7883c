// Gradients of filters in bfloat16, and weights packed for products of bfloat16 from floats that lie anywhere.
#include "check.h"

#include <math.h>

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
    struct eo_bf16_line line = {.pixels = pixels, .channels = channels, .step = channels + (size_t)number(0, 5)};
    line.abreast = (size_t)number(1, 3), line.images = (size_t)number(1, 2 * (int)line.abreast);
    line.last = pixels - (size_t)number(0, 1), line.image = (pixels - 1) * line.step + channels + (size_t)number(0, 9);
    struct block from = floats(line.images * line.image);
    line.from = from.base, line.parts = (size_t)number(1, 2), line.scale = number(0, 1) ? 1 : 0.37f;
    const size_t most = pixels * line.abreast;
    if (pairs) line.skip = (size_t)number(-2, 3);
    line.filled = pairs ? most + (size_t)number(0, 5) : (most + 15) / 16 * 16 + 16 * (size_t)number(0, 1);
    line.to_step = line.filled * 32, line.to_part = (channels + 15) / 16 * line.to_step;
    struct block sums = floats(channels), twins = block_copy(sums.base, sums.size);
    const bool adds = !pairs && number(0, 1);
    line.sums = adds ? sums.base : NULL;
    struct block found = arranged(run, &line, line.parts * line.to_part);
    line.sums = adds ? twins.base : NULL;
    struct block expected = arranged(twin, &line, line.parts * line.to_part);
    check(same(&found, &expected) && same(&sums, &twins), name, "%zu pixels of %zu channels", pixels, channels);
    block_free(&from), block_free(&found), block_free(&expected), block_free(&sums), block_free(&twins);
}

static void split_case(const eo_bf16_split_kernel *kernel, size_t count) {
    struct block x = floats(count), scale = floats(count), found = block_of(3 * (count + 1) * 2);
    struct block expected = block_copy(found.base, found.size);
    const float *scales = count % 2 ? scale.base : NULL;
    const size_t parts = (size_t)number(2, 3);
    kernel->run(count, x.base, scales, parts, found.base, count + 1);
    eo_bf16_split__scalar(count, x.base, scales, parts, expected.base, count + 1);
    check(same(&found, &expected), kernel->name, "%zu parts of %zu numbers", parts, count);
    block_free(&x), block_free(&scale), block_free(&found), block_free(&expected);
}

static struct block bfloats(size_t count) {
    struct block from = floats(count), to = block_of(count * sizeof(uint16_t));
    eo_f32_to_bf16__scalar(count, from.base, to.base);
    block_free(&from);
    return to;
}

static void widening_case(const eo_bf16_to_f32_kernel *kernel, size_t count) {
    struct block x = bfloats(count), found = block_of(count * sizeof(float)), expected = block_of(found.size);
    kernel->run(count, x.base, found.base);
    eo_bf16_to_f32__scalar(count, x.base, expected.base);
    check(same(&found, &expected), kernel->name, "%zu numbers", count);
    block_free(&x), block_free(&found), block_free(&expected);
}

static void tiles_case(const eo_bf16_tiles_kernel *kernel, size_t tiles, bool shares_rows) {
    enum { MOST = 3 * 2 * 2 * 1024 };
    struct block a = bfloats(MOST), b = bfloats(MOST), bias = floats(16), start = floats(EO_TILES * 256);
    struct eo_bf16_tiles t = {.shares_rows = shares_rows, .count = tiles, .shared = shares_rows ? a.base : b.base};
    t.segments = (size_t)number(1, 2), t.steps = (size_t)number(1, 2), t.goes_on = number(0, 1);
    t.depth = t.steps > 1 ? EO_TILE_STEP : 2 * (size_t)number(1, 16);
    const size_t last = t.steps > 1 ? (size_t)number(1, 32) : 0;
    const struct eo_bf16_factor rows = {.parts = 3, .part = 2048, .segment = 512, .step = 32, .last = last, .row = 48};
    const struct eo_bf16_factor columns = {3, 2048, 1024, 512, (t.steps - 1) * 512, 0};
    t.of_tiles = shares_rows ? columns : rows, t.of_shared = shares_rows ? rows : columns;
    if (shares_rows || number(0, 1)) t.of_tiles.parts = t.of_shared.parts = 2;
    if (t.of_shared.parts == 2 && number(0, 1)) (shares_rows ? &t.of_tiles : &t.of_shared)->parts = 1;
    if (shares_rows && number(0, 2) == 0) t.of_tiles.parts = t.of_shared.parts = 1;
    const size_t height = (size_t)number(1, 16), width = (size_t)number(1, 16);
    t.output_step = 16, t.scale = 0.5f, t.minimum = -2, t.maximum = 3, t.bias = number(0, 1) ? bias.base : NULL;
    const bool plain = number(0, 2) == 0;
    if (plain) t.scale = 1, t.minimum = -INFINITY, t.maximum = INFINITY, t.bias = NULL;
    struct block found = block_copy(start.base, start.size), expected = block_copy(start.base, start.size);
    struct block squares = block_copy(start.base, start.size), twins = block_copy(start.base, start.size);
    for (int i = 0; i < 2; i++) {
        for (size_t r = 0; r < tiles; r++) {
            t.tiles[r] = (uint16_t *)(shares_rows ? b.base : a.base) + 32 * r;
            t.rows[r] = shares_rows || r == 0 ? height : (height + 1) / 2, t.columns[r] = shares_rows && r ? 16 : width;
            t.output[r] = (float *)(i ? expected : found).base + 256 * r;
        }
        t.squares = plain && !t.goes_on ? NULL : i ? twins.base : squares.base;
        (i ? eo_bf16_tiles__scalar : kernel->run)(&t, 1);
    }
    check(alike(found.base, expected.base, start.size / 4, 600 * 0x1p-20f), kernel->name, "%zu tiles", tiles);
    block_free(&a), block_free(&b), block_free(&bias), block_free(&start), block_free(&found);
    block_free(&expected), block_free(&squares), block_free(&twins);
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

// And the sum of the products' sizes.
static double expected_sum(const struct eo_window *w, bool rounds, const float *x, const float *dz, size_t o,
                           size_t row, size_t column, size_t channel, double *size) {
    double sum = 0;
    *size = 0;
    for (size_t p = 0; p < w->batch * w->output_height * w->output_width; p++) {
        const size_t line = p / w->output_width % w->output_height, image = p / w->output_width / w->output_height;
        const size_t i = line * w->stride_height + row * w->dilation_height - w->padding_top;
        const size_t j = p % w->output_width * w->stride_width + column * w->dilation_width - w->padding_left;
        if (i >= w->input_height || j >= w->input_width) continue;
        const float a = x[((image * w->input_height + i) * w->input_width + j) * w->input_channels + channel];
        const float b = dz[p * w->output_channels + o];
        const double product = rounds ? (double)rounded(b) * rounded(a) : (double)b * a;
        sum += product, *size += product < 0 ? -product : product;
    }
    return sum;
}

// Sums of three parts err less than float32 may, by so much of the sum of the products' sizes; of two parts each
// product errs by three times half of its 17th bit at most.
static bool is_near(float found, double expected, double size, size_t parts) {
    const double error = found - expected;
    return (error < 0 ? -error : error) <= (parts == 2 ? 3 * 0x1p-18 : 0x1p-22) * size + 1e-30;
}

// The driver, by kernels of number `table` of each family. `parts`: of dz; of x too, unless it is whole numbers.
static void gradient_case(const eo_bf16_tiles_kernel *kernel, eo_bf16_pairs_function *pairs,
                          eo_bf16_rows_function *rows, size_t parts, bool whole) {
    struct eo_tile_gradient g = {.window = any_window(), .pairs = pairs, .rows = rows, .run = kernel->run};
    const struct eo_window w = g.window;
    const size_t pixels = w.batch * w.output_height * w.output_width;
    struct block x = floats(w.batch * w.input_height * w.input_width * w.input_channels);
    struct block dz = floats(pixels * w.output_channels);
    g.x_parts = whole ? 1 : parts, g.dz_parts = parts, g.scale = whole ? 0.0137f : 1;
    for (size_t i = 0; i < x.size / 4 && whole; i++) ((float *)x.base)[i] = g.scale * (float)number(-255, 255);
    eo_tile_gradient_plan(&g);
    if (g.sets > 2 && number(0, 1)) g.sets = 2;
    struct block dw = block_of(w.output_channels * g.depth * 4), db = block_of(w.output_channels * 4);
    // As aligned as the library's.
    struct block scratch = block_of((g.strips * g.strip_size + g.slot_size + 63) / 64 * 64);
    g.input = x.base, g.dz = dz.base, g.dw = dw.base, g.db = db.base;
    g.scratch = scratch.base;
    for (size_t strip = 0; strip < g.strips; strip++) eo_tile_gradient_work(&g, strip, 0);
    for (size_t block = 0; block < eo_tile_gradient_blocks(&g); block++) eo_tile_gradient_join(&g, block);
    for (size_t i = 0; i < w.output_channels * g.depth; i++) {
        const size_t channel = i % w.input_channels, tap = i % g.depth / w.input_channels;
        double size;
        const double expected = expected_sum(&w, parts == 1 && !whole, x.base, dz.base, i / g.depth,
                                             tap / w.kernel_width, tap % w.kernel_width, channel, &size);
        const float found = ((float *)dw.base)[i];
        if (!check(is_near(found, expected, parts == 1 && whole ? 0x1p14 * size : 2 * size, parts), kernel->name,
                   "gradient of %zux%zu filters, stride %zux%zu, %zux%zu channels, %zu parts: %g, not %g",
                   w.kernel_height, w.kernel_width, w.stride_height, w.stride_width, w.input_channels,
                   w.output_channels, parts, found, expected))
            break;
    }
    const float terms = (float)(pixels + 1);
    for (size_t o = 0; o < w.output_channels; o++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++) sum += ((float *)dz.base)[p * w.output_channels + o];
        const float expected = (float)sum;
        check(alike((float *)db.base + o, &expected, 1, terms * 8 * 0x1p-20f), kernel->name, "gradient of bias");
    }
    block_free(&x), block_free(&dz), block_free(&dw), block_free(&db), block_free(&scratch);
}

// A convolution from images in `parts` parts, by weights in as many or in one.
static void convolution_case(const eo_bf16_tiles_kernel *kernel, size_t parts, bool whole) {
    struct eo_window w = any_window();
    if (w.kernel_width > 1) w.dilation_width = 1;
    w.padding_top = w.padding_left = 0, w.output_width += 8;
    if (number(0, 3) == 0) // rows that begin within lines
        w.input_channels = 16, w.kernel_width |= 1, w.output_width = 32 * (size_t)number(1, 2), w.stride_width = 1;
    w.input_height = (w.output_height - 1) * w.stride_height + (w.kernel_height - 1) * w.dilation_height + 1;
    w.input_width = (w.output_width - 1) * w.stride_width + (w.kernel_width - 1) * w.dilation_width + 1;
    struct eo_tile_convolution c = {.window = w, .x_parts = parts, .w_parts = whole ? 1 : parts, .run = kernel->run};
    c.pixel_step = w.output_channels + 1, c.line_step = w.output_width * c.pixel_step;
    c.image_step = w.output_height * c.line_step, c.minimum = -1e9f, c.maximum = 1e9f;
    if (!eo_tile_convolution_plan(&c)) return;
    const size_t count = w.batch * w.input_height * w.input_width * w.input_channels;
    const size_t taps = w.kernel_height * w.kernel_width, depth = taps * w.input_channels;
    const size_t blocks = (w.output_channels + 15) / 16, pixels = w.batch * w.output_height * w.output_width;
    struct block x = floats(count), weights = floats(w.output_channels * depth), bias = floats(w.output_channels);
    struct block image = block_of(parts * count * 2), packed = block_of(blocks * c.block * 2);
    struct block found = block_of((pixels * c.pixel_step - 1) * 4);
    for (size_t i = 0; i < weights.size / 4 && whole; i++) ((float *)weights.base)[i] = (float)number(-128, 127);
    size_t tap[15];
    for (size_t t = 0; t < taps; t++) tap[t] = t * w.input_channels;
    const struct eo_strided_weights strided = {weights.base,      tap, taps,  w.input_channels,
                                               w.output_channels, 1,   depth, NULL};
    eo_bf16_split__scalar(count, x.base, NULL, parts, image.base, count);
    for (size_t b = 0; b < blocks; b++)
        eo_tile_convolution_pack(&c, &strided, NULL, b, (uint16_t *)packed.base + b * c.block);
    c.image = image.base, c.part = count, c.weights = packed.base, c.bias = bias.base, c.output = found.base;
    for (size_t unit = 0; unit < eo_tile_convolution_units(&c); unit++) eo_tile_convolution_work(&c, unit);
    for (size_t p = 0; p < pixels; p++)
        for (size_t o = 0; o < w.output_channels; o++) {
            double sum = ((float *)bias.base)[o], size = sum < 0 ? -sum : sum;
            for (size_t k = 0; k < depth; k++) {
                const size_t t = k / w.input_channels, line = p / w.output_width;
                const size_t y = line % w.output_height * w.stride_height + t / w.kernel_width * w.dilation_height;
                const size_t column = p % w.output_width * w.stride_width + t % w.kernel_width * w.dilation_width;
                const size_t at = ((line / w.output_height * w.input_height + y) * w.input_width + column);
                const double product = (double)((float *)x.base)[at * w.input_channels + k % w.input_channels] *
                                       ((float *)weights.base)[o * depth + k];
                sum += product, size += product < 0 ? -product : product;
            }
            const float result = ((float *)found.base)[p * c.pixel_step + o];
            if (!check(is_near(result, sum, size, parts), kernel->name,
                       "%zux%zu convolution of %zux%zu channels, %zu parts: %g, not %g", w.kernel_height,
                       w.kernel_width, w.input_channels, w.output_channels, parts, result, sum)) {
                p = pixels;
                break;
            }
        }
    block_free(&x), block_free(&weights), block_free(&bias), block_free(&image), block_free(&packed);
    block_free(&found);
}

// Weights in one piece are those of eo_bf16_gemm_pack, wherever they come from.
static void pack_case(const eo_bf16_gemm_kernel *kernel, size_t taps, size_t channels, size_t columns, bool turned) {
    const size_t depth = taps * channels, nr = (size_t)kernel->nr, size = eo_bf16_gemm_packed_size(kernel, depth, 1);
    struct block weights = floats(columns * depth), bias = floats(columns), given = block_of(columns * depth * 4);
    struct block found = block_of((columns + nr - 1) / nr * size);
    struct block expected = block_of(found.size);
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
    eo_bf16_gemm_pack(kernel, depth, 1, columns, weights.base, bias.base, expected.base);
    check(same(&found, &expected), kernel->name, "packed %zux%zux%zu%s", taps, channels, columns,
          turned ? ", turned" : "");
    block_free(&weights), block_free(&bias), block_free(&given), block_free(&found), block_free(&expected);
}

// Rows straight from lines of an image, in a piece for each kernel row; odd ones are read one number further.
static void lines_case(const eo_bf16_gemm_kernel *kernel, size_t channels, size_t columns) {
    enum { TAPS = 3, WIDTH = 21, LINES = 4 };
    const size_t line = (WIDTH + TAPS - 1) * channels, depth = TAPS * TAPS * channels, nr = (size_t)kernel->nr;
    const size_t size = eo_bf16_gemm_packed_size(kernel, depth, TAPS);
    struct block image = bfloats((LINES + TAPS - 1) * line + 1), weights = floats(columns * depth),
                 bias = floats(columns);
    struct block packed = block_of((columns + nr - 1) / nr * size), found = block_of(LINES * WIDTH * columns * 4);
    const size_t tap[] = {0};
    const struct eo_strided_weights w = {weights.base, tap, 1, depth, columns, 1, depth, bias.base};
    for (size_t j = 0; j < columns; j += nr)
        eo_bf16_gemm_pack_block(kernel, TAPS, &w, j, (char *)packed.base + j / nr * size);
    const struct eo_f32_gemm_parameters parameters = {-1e9f, 1e9f};
    const struct eo_gemm_tile tile = {.rows = LINES * WIDTH,
                                      .columns = columns,
                                      .depth = (TAPS * channels + 1) / 2 * 2 * TAPS,
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
    int count, pair_count, row_count, split_count, gemm_count;
    const eo_bf16_pairs_kernel *pairs = eo_bf16_pairs_rows(&pair_count);
    const eo_bf16_rows_kernel *rows = eo_bf16_rows_rows(&row_count);
    const eo_bf16_split_kernel *split = eo_bf16_split_rows(&split_count);
    const eo_bf16_tiles_kernel *tiles = eo_bf16_tiles_rows(&count);
    const eo_bf16_gemm_kernel *gemm = eo_bf16_gemm_rows(&gemm_count);
    for (int i = 0; i < 40; i++) {
        gradient_case(tiles + count - 1, eo_bf16_pairs__scalar, eo_bf16_rows__scalar, 1 + (size_t)i % 2, i % 4 == 3);
        convolution_case(tiles + count - 1, 2 + (size_t)i % 2, i % 4 == 0);
    }
    for (int i = 0; i < gemm_count; i++) {
        if (!kernels_isa_available(gemm[i].isa)) continue;
        for (size_t taps = 1; taps <= 9; taps += 4)
            for (size_t channels = 1; channels <= 37; channels += 3)
                for (size_t columns = 1; columns <= 70; columns += 23)
                    pack_case(gemm + i, taps, channels, columns, (channels + columns) % 2);
        for (size_t channels = 1; gemm[i].isa == ISA_AMX && channels <= 40; channels += 3)
            lines_case(gemm + i, channels, channels + 9);
    }
    for (int i = 0; i + 1 < count; i++) {
        if (!kernels_isa_available(tiles[i].isa)) continue;
        for (size_t pixels = 1; pixels <= 70; pixels++)
            for (size_t channels = 1; channels <= 40; channels += (size_t)number(1, 5)) {
                line_case(pairs[i].name, pairs[i].run, eo_bf16_pairs__scalar, true, pixels, channels);
                line_case(rows[i].name, rows[i].run, eo_bf16_rows__scalar, false, pixels, channels);
            }
        const eo_bf16_to_f32_kernel *wide = eo_bf16_to_f32_rows(&gemm_count) + i;
        for (size_t n = 1; n < 100; n++) split_case(split + i, n), widening_case(wide, n);
        for (int k = 0; k < 300; k++) tiles_case(tiles + i, 1 + (size_t)k % EO_TILES, k / EO_TILES % 2);
        for (int k = 0; k < 200; k++) {
            gradient_case(tiles + i, pairs[i].run, rows[i].run, 1 + (size_t)k % 2, k % 4 == 3);
            convolution_case(tiles + i, 2 + (size_t)k % 2, k % 4 == 0);
        }
        compared(pairs[i].name, NULL), compared(rows[i].name, NULL), compared(split[i].name, NULL);
        compared(tiles[i].name, NULL), compared(wide->name, NULL);
    }
}
