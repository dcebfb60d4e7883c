// 8-bit convolutions by Winograd's filtering: every bit of their twin's, which computes the definition, however the
// work is cut.
#include "check.h"

#include <math.h>

static struct eo_window window(size_t side, size_t inputs, size_t outputs, size_t padding) {
    return (struct eo_window){
        .batch = 2,
        .input_height = side,
        .input_width = side + 3,
        .input_channels = inputs,
        .output_height = side + 2 * padding - 2,
        .output_width = side + 1 + 2 * padding,
        .output_channels = outputs,
        .kernel_height = 3,
        .kernel_width = 3,
        .stride_height = 1,
        .stride_width = 1,
        .dilation_height = 1,
        .dilation_width = 1,
        .padding_top = padding,
        .padding_left = padding,
        .groups = 1,
    };
}

struct layer {
    struct eo_window window;
    const void *parameters;
    const struct eo_hybrid_row *grid;
    const void *input, *packed;
};

static struct block run(eo_u8_winograd_function *kernel, const struct layer *l, size_t workers, size_t most) {
    const struct eo_window *w = &l->window;
    const size_t element = l->grid ? sizeof(float) : 1;
    struct block output = block_of(w->batch * w->output_height * w->output_width * w->output_channels * element);
    struct eo_u8_winograd c = {
        .window = *w,
        .run = kernel,
        .padding = 7,
        .flip = 0x80,
        .input = l->input,
        .weights = l->packed,
        .parameters = l->parameters,
        .grid = l->grid,
        .output = output.base,
    };
    eo_u8_winograd_plan(&c);
    if (most > 0) c.most_tiles = most;
    struct block scratch = block_of(c.slot_size * workers);
    c.scratch = scratch.base;
    const size_t units = eo_u8_winograd_start(&c, workers);
    for (size_t unit = 0; unit < units; unit++) eo_u8_winograd_work(&c, unit, unit % c.workers);
    block_free(&scratch);
    return output;
}

static void compare(const struct layer *l) {
    const struct eo_window *w = &l->window;
    int count;
    const eo_u8_winograd_kernel *k = eo_u8_winograd_rows(&count), *twin = k + count - 1;
    struct block expected = run(twin->run, l, 1, 0);
    digest(expected.base, expected.size);
    for (; k <= twin; k++) {
        if (!kernels_isa_available(k->isa)) continue;
        for (size_t workers = 1; workers <= 3; workers += 2)
            for (size_t most = 0; most <= 5; most += 5) {
                struct block found = run(k->run, l, workers, most);
                check(memcmp(found.base, expected.base, found.size) == 0, k->name,
                      "%zu to %zu channels%s, %zu workers, units of %zu", w->input_channels, w->output_channels,
                      l->grid ? ", floats" : "", workers, most);
                block_free(&found);
            }
        if (w->input_channels == 4 && !l->grid) compared(k->name, NULL);
    }
    block_free(&expected);
}

// What a layer of bytes leaves, or of dynamic range.
static void layers(const struct eo_window *w, bool is_plain, bool has_grid) {
    const size_t depth = 9 * w->input_channels, columns = w->output_channels;
    struct block input = bytes(w->batch * w->input_height * w->input_width * w->input_channels, 0, 255);
    struct block weights = bytes(depth * columns, 0, 255), bias = block_of(columns * sizeof(int32_t));
    struct block scale = scales(columns, 1e-3f / (float)depth), added = scales(columns, 1);
    for (size_t j = 0; j < columns; j++) ((int32_t *)bias.base)[j] = number(-100000, 100000);
    const struct eo_u8_gemm_weights source = {.depth = depth,
                                              .columns = columns,
                                              .weights = weights.base,
                                              .flip = 0x80,
                                              .input_zero_point = 7,
                                              .bias = bias.base,
                                              .scale = scale.base};
    check(eo_u8_winograd_fits(w, &source), "eo_u8_winograd_fits", "%zu channels", w->input_channels);
    struct block packed = block_of(eo_u8_winograd_packed_size(w->input_channels, columns, has_grid));
    eo_u8_winograd_pack(w->input_channels, &source, has_grid ? added.base : NULL, packed.base);
    const struct eo_u8_gemm_parameters plain = {-128, 127, 0, 0, true, true}, any = {-30, 200, 40, 0, true, false};
    const struct eo_hybrid_gemm_parameters floats = {is_plain ? -INFINITY : -1, is_plain ? INFINITY : 2, 0};
    const struct eo_hybrid_row grid = {0.037f, 123};
    const void *const parameters = has_grid ? (const void *)&floats : is_plain ? &plain : &any;
    compare(&(struct layer){*w, parameters, has_grid ? &grid : NULL, input.base, packed.base});
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&scale), block_free(&added);
    block_free(&packed);
}

// Sums of such weights leave 26 bits or just do not.
static void limits(void) {
    const struct eo_window w = window(8, 115, 1, 1);
    struct block weights = bytes(9 * 115, 127, 127);
    const float scale = 1;
    struct eo_u8_gemm_weights source = {.depth = 9 * 115, .columns = 1, .weights = weights.base, .scale = &scale};
    check(eo_u8_winograd_fits(&w, &source), "eo_u8_winograd_fits", "131445");
    ((int8_t *)weights.base)[0] = -128;
    check(eo_u8_winograd_fits(&w, &source), "eo_u8_winograd_fits", "131318 and -128");
    memset(weights.base, 127, weights.size);
    source.depth += 9; // reads no weights beyond: there is a zero point
    source.weight_zero_point = 1;
    check(!eo_u8_winograd_fits(&w, &source), "eo_u8_winograd_fits", "zero point");
    block_free(&weights);
    weights = bytes(9 * 116, 127, 127);
    source.weights = weights.base;
    source.weight_zero_point = 0;
    check(!eo_u8_winograd_fits(&w, &source), "eo_u8_winograd_fits", "132588");
    block_free(&weights);
}

void test_u8_winograd(void) {
    limits();
    for (size_t inputs = 1; inputs <= 70; inputs += inputs < 20 ? 3 : 25)
        for (size_t padding = 0; padding <= 1; padding++) {
            const struct eo_window w = window(9 + inputs % 3, inputs, inputs + 5, padding);
            layers(&w, inputs % 2 == 0, false);
            layers(&w, inputs % 2 == 0, true);
        }
}
