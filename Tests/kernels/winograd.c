// Winograd's transforms against their scalar twins, and whole convolutions, by tiles and by pieces of the image,
// against the definition.
#include "check.h"

static const struct eo_f32_gemm_parameters clamp = {-1.5f, 1.25f};

static struct eo_window window(size_t channels, size_t stride) {
    return (struct eo_window){
        .batch = 2,
        .input_height = 7,
        .input_width = 10,
        .input_channels = channels,
        .output_height = 6 / stride + 1,
        .output_width = 9 / stride + 1,
        .output_channels = channels + 3,
        .kernel_height = 3,
        .kernel_width = 3,
        .stride_height = stride,
        .stride_width = stride,
        .dilation_height = 1,
        .dilation_width = 1,
        .padding_top = 1,
        .padding_left = 1,
        .groups = 1,
    };
}

static size_t input_count(const struct eo_window *w) {
    return w->batch * w->input_height * w->input_width * w->input_channels;
}
static size_t output_count(const struct eo_window *w) {
    return w->batch * w->output_height * w->output_width * w->output_channels;
}

static struct block input_output(eo_winograd_input_function *kernel, const struct eo_window *w, size_t m, size_t tiles,
                                 const struct block *image) {
    const size_t elements = (m + 2) * (m + 2);
    struct block output = block_of(elements * tiles * w->input_channels * sizeof(float));
    const struct eo_winograd_input input = {
        w, m, image->base, 0, tiles, output.base, tiles * w->input_channels, w->input_channels};
    kernel(&input);
    return output;
}

static struct block output_output(eo_winograd_output_function *kernel, const struct eo_window *w, size_t m,
                                  size_t tiles, const struct block *products, const struct block *bias) {
    const size_t stride = (w->output_channels + 15) / 16 * 16;
    struct block pixels = block_of(output_count(w) * sizeof(float));
    const struct eo_winograd_output output = {w,     m, products->base,     tiles * stride, stride,      0,
                                              tiles, 0, w->output_channels, bias->base,     pixels.base, clamp};
    kernel(&output);
    return pixels;
}

// Sums of at most 36 numbers of at most 9 / 4 squared: rounding stays far below this.
static const float transform_bound = 4e-5f;

static void transforms(const struct eo_window *w, size_t m) {
    const size_t tiles = w->batch * ((w->output_height + m - 1) / m) * ((w->output_width + m - 1) / m);
    struct block image = floats(input_count(w)), bias = floats(w->output_channels);
    struct block products = floats((m + 2) * (m + 2) * tiles * ((w->output_channels + 15) / 16 * 16));
    int count;
    const eo_winograd_input_kernel *in = eo_winograd_input_rows(&count), *in_twin = in + count - 1;
    struct block expected = input_output(in_twin->run, w, m, tiles, &image);
    for (; in < in_twin; in++) {
        if (!kernels_isa_available(in->isa)) continue;
        struct block found = input_output(in->run, w, m, tiles, &image);
        check(alike(found.base, expected.base, found.size / sizeof(float), transform_bound), in->name,
              "%zu channels, tiles of %zu", w->input_channels, m);
        block_free(&found);
    }
    block_free(&expected);
    const eo_winograd_output_kernel *out = eo_winograd_output_rows(&count), *out_twin = out + count - 1;
    expected = output_output(out_twin->run, w, m, tiles, &products, &bias);
    for (; out < out_twin; out++) {
        if (!kernels_isa_available(out->isa)) continue;
        struct block found = output_output(out->run, w, m, tiles, &products, &bias);
        check(alike(found.base, expected.base, found.size / sizeof(float), transform_bound), out->name,
              "%zu channels, tiles of %zu", w->output_channels, m);
        block_free(&found);
    }
    block_free(&expected), block_free(&image), block_free(&bias), block_free(&products);
}

static float definition(const struct eo_window *w, const float *input, const float *weights, const float *bias,
                        size_t index) {
    const size_t channel = index % w->output_channels, pixel = index / w->output_channels, depth = w->input_channels;
    const size_t x = pixel % w->output_width, y = pixel / w->output_width % w->output_height;
    const size_t image = pixel / w->output_width / w->output_height;
    double sum = bias[channel];
    for (size_t tap = 0; tap < 9; tap++) {
        const size_t v = y * w->stride_height + tap / 3 - 1, u = x * w->stride_width + tap % 3 - 1;
        if (v >= w->input_height || u >= w->input_width) continue; // -1 is very large
        const float *from = input + ((image * w->input_height + v) * w->input_width + u) * depth;
        for (size_t c = 0; c < depth; c++) sum += (double)from[c] * (double)weights[(channel * 9 + tap) * depth + c];
    }
    sum = sum < (double)clamp.minimum ? (double)clamp.minimum : sum;
    return (float)(sum > (double)clamp.maximum ? (double)clamp.maximum : sum);
}

// `workers` one after the other: how the work is cut must not change a bit.
static struct block by_tiles(const eo_f32_gemm_kernel *k, const struct eo_window *w, size_t m, size_t workers,
                             const float *input, const float *weights, const float *bias) {
    const size_t size = eo_winograd_packed_size(k->nr, m, w->input_channels, w->output_channels);
    struct block packed = block_of(size), output = block_of(output_count(w) * sizeof(float));
    eo_winograd_pack(k->nr, m, w->input_channels, w->output_channels, weights, bias, packed.base);
    struct eo_winograd c = {
        .window = *w,
        .m = m,
        .run = k->run,
        .mr = (size_t)k->mr,
        .nr = (size_t)k->nr,
        .transform_input = eo_winograd_input_best()->run,
        .transform_output = eo_winograd_output_best()->run,
        .input = input,
        .output = output.base,
        .weights = packed.base,
        .parameters = clamp,
    };
    eo_winograd_plan(&c);
    struct block scratch = block_of(c.slot_size * workers);
    c.scratch = scratch.base;
    const size_t units = eo_winograd_start(&c, workers);
    for (size_t unit = 0; unit < units; unit++) eo_winograd_work(&c, unit, unit % c.workers);
    block_free(&scratch), block_free(&packed);
    return output;
}

static struct block by_pieces(const eo_f32_gemm_kernel *k, const struct eo_window *w, const float *input,
                              const float *weights, const float *bias) {
    const size_t depth = 9 * w->input_channels;
    struct block packed = block_of(eo_f32_gemm_packed_size(k->nr, depth, w->output_channels));
    struct block output = block_of(output_count(w) * sizeof(float));
    eo_f32_gemm_pack(k->nr, depth, w->output_channels, weights, bias, packed.base);
    struct eo_convolution c = {
        .window = *w,
        .input_element_size = sizeof(float),
        .output_element_size = sizeof(float),
        .run = k->run,
        .mr = (size_t)k->mr,
        .nr = (size_t)k->nr,
        .depth = depth,
        .block_size = eo_f32_gemm_packed_size(k->nr, depth, 1),
        .input = input,
        .output = output.base,
        .weights = packed.base,
        .parameters = &clamp,
    };
    eo_convolution_segment(&c);
    struct block scratch = block_of(c.slot_size);
    c.scratch = scratch.base;
    const size_t units = eo_convolution_start(&c, 1);
    for (size_t unit = 0; unit < units; unit++) eo_convolution_work(&c, unit, 0);
    block_free(&scratch), block_free(&packed);
    return output;
}

static void convolutions(const struct eo_window *w) {
    const size_t count = output_count(w);
    struct block input = floats(input_count(w)), bias = floats(w->output_channels);
    struct block weights = floats(w->output_channels * 9 * w->input_channels),
                 expected = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        ((float *)expected.base)[i] = definition(w, input.base, weights.base, bias.base, i);
    int rows;
    const eo_f32_gemm_kernel *k = eo_f32_gemm_rows(&rows);
    for (; rows-- > 0; k++) {
        if (!kernels_isa_available(k->isa)) continue;
        struct block found = by_pieces(k, w, input.base, weights.base, bias.base);
        check(alike(found.base, expected.base, count, 1e-4f), k->name, "%zu channels in pieces", w->input_channels);
        block_free(&found);
        // The transforms used are the best, and take whole vectors of the best product's columns.
        for (size_t m = 2; m <= 4 && w->stride_width == 1 && k->run == eo_f32_gemm_best()->run; m += 2) {
            found = by_tiles(k, w, m, 1, input.base, weights.base, bias.base);
            check(alike(found.base, expected.base, count, 3e-4f), k->name, "%zu channels by tiles of %zu",
                  w->input_channels, m);
            struct block shared = by_tiles(k, w, m, 3, input.base, weights.base, bias.base);
            check(memcmp(found.base, shared.base, found.size) == 0, k->name, "tiles of %zu: other bits if shared", m);
            block_free(&found), block_free(&shared);
        }
    }
    block_free(&input), block_free(&bias), block_free(&weights), block_free(&expected);
}

static size_t chosen(size_t side, size_t channels, size_t stride) {
    struct eo_window w = window(channels, stride);
    w.batch = 1;
    w.input_height = w.input_width = side;
    w.output_height = w.output_width = (side - 1) / stride + 1;
    w.output_channels = channels;
    return eo_winograd_size(&w);
}

void test_winograd(void) {
    check(chosen(56, 64, 1) == 4, "eo_winograd_size", "many tiles");
    check(chosen(14, 256, 1) == 2, "eo_winograd_size", "many weights");
    check(chosen(7, 512, 1) == 0, "eo_winograd_size", "very many weights");
    check(chosen(56, 64, 2) == 0 && chosen(224, 3, 1) == 0, "eo_winograd_size", "not for it");
    for (size_t channels = 1; channels <= 101; channels += channels < 40 ? 5 : 30)
        for (size_t stride = 1; stride <= 2; stride++) {
            const struct eo_window w = window(channels, stride);
            convolutions(&w);
            for (size_t m = 2; m <= 4 && stride == 1; m += 2) transforms(&w, m);
        }
    int count;
    const eo_winograd_input_kernel *in = eo_winograd_input_rows(&count);
    for (; --count > 0; in++)
        if (kernels_isa_available(in->isa)) compared(in->name, NULL);
    const eo_winograd_output_kernel *out = eo_winograd_output_rows(&count);
    for (; --count > 0; out++)
        if (kernels_isa_available(out->isa)) compared(out->name, NULL);
}
