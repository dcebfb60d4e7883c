// The depthwise convolutions: runs of pixels with taps of every kind.
#include "check.h"

enum { MAX_TAPS = 25, GAP = 24 };

// Some pixels of a line. Taps are rows of their own, the third of every four standing still as padding does.
struct pixels {
    struct eo_depthwise_run run;
    size_t element, gap;
    struct block memory[MAX_TAPS];
    const void *tap[MAX_TAPS];
    size_t step[MAX_TAPS];
};

typedef void fill(void *memory, size_t count);

static void fill_floats(void *memory, size_t count) {
    for (size_t i = 0; i < count; i++) ((float *)memory)[i] = real();
}
static void fill_bytes(void *memory, size_t count) {
    for (size_t i = 0; i < count; i++) ((uint8_t *)memory)[i] = (uint8_t)often(0, 255);
}
static void fill_shorts(void *memory, size_t count) {
    for (size_t i = 0; i < count; i++) ((int16_t *)memory)[i] = (int16_t)often(-32768, 32767);
}

static void point(struct pixels *p, size_t pixels, size_t channels, size_t taps, fill *numbers) {
    const size_t pixel = channels * p->element;
    p->run = (struct eo_depthwise_run){.pixels = pixels, .channels = channels, .taps = taps, .tap = p->tap};
    p->gap = GAP, p->run.step = p->step, p->run.output_stride = pixel + GAP;
    for (size_t t = 0; t < taps; t++) {
        const bool inside = t % 4 != 2;
        p->memory[t] = block_of((inside ? pixels : 1) * pixel);
        numbers(p->memory[t].base, p->memory[t].size / p->element);
        p->tap[t] = p->memory[t].base;
        p->step[t] = inside ? pixel : 0;
    }
}

// Pixels of a line that a 3x3 kernel meets one after another, as images have them; the middle row may be padding.
static void point_line(struct pixels *p, size_t pixels, size_t channels, bool padded, fill *numbers) {
    const size_t pixel = channels * p->element;
    p->run = (struct eo_depthwise_run){.pixels = pixels, .channels = channels, .taps = 9, .tap = p->tap};
    p->gap = 0, p->run.step = p->step, p->run.output_stride = pixel;
    for (size_t t = 0; t < 9; t++) {
        const bool inside = !padded || t / 3 != 1;
        p->memory[t] = block_of(t % 3 > 0 ? 0 : (inside ? pixels + 2 : 1) * pixel);
        numbers(p->memory[t].base, p->memory[t].size / p->element);
        p->tap[t] = (const char *)p->memory[t / 3 * 3].base + (inside ? t % 3 * pixel : 0);
        p->step[t] = inside ? pixel : 0;
    }
}

static void forget(struct pixels *p) {
    for (size_t t = 0; t < p->run.taps; t++) block_free(p->memory + t);
}

static struct block run(const struct pixels *p, eo_depthwise_function *kernel, const void *weights,
                        const void *parameters) {
    struct block output = block_of(p->run.pixels * p->run.output_stride - p->gap);
    struct eo_depthwise_run run = p->run;
    run.weights = weights, run.output = output.base, run.parameters = parameters;
    kernel(&run);
    return output;
}

static void round_all(size_t count, const float *x, struct block *to) {
    *to = block_of(count * sizeof(uint16_t));
    eo_f32_to_bf16__scalar(count, x, to->base);
}

static bool takes_bfloats(enum kernels_isa isa) { return isa == ISA_AVX512 && kernels_isa_available(ISA_AMX); }

static void float_case(size_t pixels, size_t channels, size_t taps) {
    const struct eo_f32_gemm_parameters parameters = {-1.5f, 1.25f};
    struct pixels p = {.element = sizeof(float)};
    point(&p, pixels, channels, taps, fill_floats);
    struct block weights = floats(taps * channels), bias = floats(channels);
    struct block packed = block_of(eo_f32_depthwise_packed_size(taps, channels));
    eo_f32_depthwise_pack(taps, channels, weights.base, bias.base, packed.base);
    int count;
    const eo_f32_depthwise_kernel *table = eo_f32_depthwise_rows(&count), *twin = table + count - 1;
    struct block expected = run(&p, twin->run, packed.base, &parameters);
    for (const eo_f32_depthwise_kernel *kernel = table; kernel < twin; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        struct block found = run(&p, kernel->run, packed.base, &parameters);
        for (size_t i = 0; i < pixels; i++)
            check(alike((float *)found.base + i * (channels + GAP / 4),
                        (float *)expected.base + i * (channels + GAP / 4), channels,
                        (float)((taps + 1) * (taps + 1)) * 0x1p-23f),
                  kernel->name, "%zux%zux%zu", pixels, channels, taps);
        block_free(&found);
    }
    block_free(&weights), block_free(&bias), block_free(&packed), block_free(&expected);
    forget(&p);
}

static struct block byte_output(const eo_u8_depthwise_kernel *kernel, const struct pixels *p,
                                const struct eo_u8_gemm_weights *weights,
                                const struct eo_u8_depthwise_parameters *parameters) {
    struct block packed = block_of(eo_u8_depthwise_packed_size(kernel, p->run.taps, p->run.channels));
    eo_u8_depthwise_pack(kernel, weights, packed.base);
    struct block output = run(p, kernel->run, packed.base, parameters);
    block_free(&packed);
    return output;
}

enum form { APART, LINE, PADDED_LINE };

static void byte_case(size_t pixels, size_t channels, size_t taps, enum form form) {
    static const int32_t zero_points[] = {0, 127, -128};
    static unsigned turn;
    turn++;
    const int32_t zero_point = zero_points[turn % 3];
    const struct eo_u8_depthwise_parameters parameters = {.maximum = 120,
                                                          .minimum = -101,
                                                          .output_zero_point = -28,
                                                          .weight_zero_point = zero_point,
                                                          .flip = turn / 3 % 2 ? 0x80 : 0};
    struct pixels p = {.element = 1};
    if (form == APART)
        point(&p, pixels, channels, taps, fill_bytes);
    else
        point_line(&p, pixels, channels, form == PADDED_LINE, fill_bytes);
    struct block weights = bytes(taps * channels, -128, 127),
                 // Now and then sums far outside of 16 bits.
        scale = scales(channels, turn % 5 ? 1.0f / 20000 : 1);
    struct block bias = block_of(channels * sizeof(int32_t));
    for (size_t i = 0; i < channels; i++) ((int32_t *)bias.base)[i] = number(-9000, 9000);
    const struct eo_u8_gemm_weights source = {.depth = taps,
                                              .columns = channels,
                                              .weights = weights.base,
                                              .weight_zero_point = zero_point,
                                              .input_zero_point = 131,
                                              .bias = bias.base,
                                              .scale = scale.base};
    int count;
    const eo_u8_depthwise_kernel *table = eo_u8_depthwise_rows(&count), *twin = table + count - 1;
    struct block expected = byte_output(twin, &p, &source, &parameters);
    digest(expected.base, expected.size);
    for (const eo_u8_depthwise_kernel *kernel = table; kernel < twin; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        struct block found = byte_output(kernel, &p, &source, &parameters);
        check(memcmp(found.base, expected.base, found.size) == 0, kernel->name,
              "%zux%zux%zu, weights' zero point %d, flip %d", pixels, channels, taps, zero_point, parameters.flip);
        block_free(&found);
    }
    block_free(&weights), block_free(&scale), block_free(&bias), block_free(&expected);
    forget(&p);
}

static struct block short_output(const eo_s16_depthwise_kernel *kernel, const struct pixels *p, const void *weights,
                                 const void *scale, const void *bias, const struct eo_s16_parameters *parameters) {
    struct block packed = block_of(eo_s16_depthwise_packed_size(kernel, p->run.taps, p->run.channels));
    eo_s16_depthwise_pack(kernel, p->run.taps, p->run.channels, weights, scale, bias, packed.base);
    struct block output = run(p, kernel->run, packed.base, parameters);
    block_free(&packed);
    return output;
}

static void short_case(size_t pixels, size_t channels, size_t taps, enum form form) {
    static unsigned turn;
    turn++;
    const bool leaves_f = form == APART && turn % 3 == 0;
    const struct eo_s16_parameters parameters = {-32000, 30000, 0, !leaves_f, leaves_f};
    struct pixels p = {.element = sizeof(int16_t)};
    if (form == APART)
        point(&p, pixels, channels, taps, fill_shorts);
    else
        point_line(&p, pixels, channels, form == PADDED_LINE, fill_shorts);
    if (parameters.leaves_f) p.run.output_stride = channels * sizeof(float) + GAP;
    struct block weights = bytes(taps * channels, -128, 127), scale = scales(channels, 1.0f / 400000);
    struct block bias = block_of(channels * sizeof(int64_t));
    for (size_t i = 0; i < channels; i++) ((int64_t *)bias.base)[i] = number(-90000, 90000);
    int count;
    const eo_s16_depthwise_kernel *table = eo_s16_depthwise_rows(&count), *twin = table + count - 1;
    struct block expected = short_output(twin, &p, weights.base, scale.base, bias.base, &parameters);
    digest(expected.base, expected.size);
    for (const eo_s16_depthwise_kernel *kernel = table; kernel < twin; kernel++) {
        if (!kernels_isa_available(kernel->isa) || (kernel->mr > 0 && leaves_f)) continue;
        struct block found = short_output(kernel, &p, weights.base, scale.base, bias.base, &parameters);
        check(memcmp(found.base, expected.base, found.size) == 0, kernel->name, "%zux%zux%zu", pixels, channels, taps);
        block_free(&found);
    }
    block_free(&weights), block_free(&scale), block_free(&bias), block_free(&expected);
    forget(&p);
}

// What a kernel makes of the lines of a window, `step` at a time.
static struct block lines_output(eo_f32_depthwise_lines_function *kernel, const struct eo_window *w, size_t step,
                                 const void *input, const void *packed, bool rounded) {
    const size_t all = w->batch * w->output_height;
    struct block output = block_of(all * w->output_width * w->output_channels * (rounded ? 2 : 4));
    for (size_t first = 0; first < all; first += step) {
        struct block scratch = block_of(EO_DEPTHWISE_SCRATCH);
        const struct eo_f32_depthwise_lines lines = {.window = w,
                                                     .input = input,
                                                     .output = output.base,
                                                     .weights = packed,
                                                     .parameters = {-1.5f, 1.25f},
                                                     .first = first,
                                                     .count = all - first < step ? all - first : step,
                                                     .scratch = scratch.base,
                                                     .input_is_rounded = rounded,
                                                     .output_is_rounded = rounded};
        kernel(&lines);
        block_free(&scratch);
    }
    return output;
}

// Where lines are cut must not change a bit.
static void lines_case(const struct eo_window *w) {
    const size_t channels = w->input_channels, taps = w->kernel_height * w->kernel_width;
    struct block input = floats(w->batch * w->input_height * w->input_width * channels);
    struct block weights = floats(taps * channels), bias = floats(channels);
    struct block packed = block_of(eo_f32_depthwise_packed_size(taps, channels));
    eo_f32_depthwise_pack(taps, channels, weights.base, bias.base, packed.base);
    int count;
    const eo_f32_depthwise_lines_kernel *table = eo_f32_depthwise_lines_rows(&count), *twin = table + count - 1;
    struct block expected = lines_output(twin->run, w, 1000, input.base, packed.base, false);
    for (const eo_f32_depthwise_lines_kernel *kernel = table; kernel < twin; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        struct block found = lines_output(kernel->run, w, 1000, input.base, packed.base, false);
        struct block parts = lines_output(kernel->run, w, 2, input.base, packed.base, false);
        const float bound = (float)((taps + 1) * (taps + 1)) * 0x1p-23f;
        check(alike(found.base, expected.base, found.size / sizeof(float), bound) &&
                  memcmp(found.base, parts.base, found.size) == 0,
              kernel->name, "%zux%zux%zu, kernel %zu, stride %zu, dilation %zu", w->output_height, w->output_width,
              channels, w->kernel_width, w->stride_width, w->dilation_width);
        block_free(&found), block_free(&parts);
    }
    // Images of bfloat16: results are those of the same numbers as floats, rounded.
    const size_t numbers = input.size / sizeof(float);
    struct block halves, results;
    round_all(numbers, input.base, &halves);
    for (size_t i = 0; i < numbers; i++) {
        const uint32_t bits = (uint32_t)((uint16_t *)halves.base)[i] << 16;
        memcpy((float *)input.base + i, &bits, sizeof bits);
    }
    for (const eo_f32_depthwise_lines_kernel *kernel = table; kernel <= twin; kernel++) {
        if (kernel != twin && !takes_bfloats(kernel->isa)) continue;
        struct block found = lines_output(kernel->run, w, 2, halves.base, packed.base, true);
        struct block wide = lines_output(kernel->run, w, 1000, input.base, packed.base, false);
        round_all(wide.size / sizeof(float), wide.base, &results);
        check(memcmp(results.base, found.base, found.size) == 0, kernel->name, "%zux%zux%zu, kernel %zu of bfloat16",
              w->output_height, w->output_width, channels, w->kernel_width);
        block_free(&found), block_free(&wide), block_free(&results);
    }
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&packed), block_free(&expected);
    block_free(&halves);
}

// `padding` on each side; windows may see nothing else.
static struct eo_window lines_window(size_t size, size_t stride, size_t dilation, size_t padding, size_t channels) {
    const size_t span = (size - 1) * dilation + 1, height = span + (size_t)number(0, 6);
    const size_t width = span + (size_t)number(0, 30);
    return (struct eo_window){.batch = 2,
                              .input_height = height,
                              .input_width = width,
                              .input_channels = channels,
                              .output_height = (height + 2 * padding - span) / stride + 1,
                              .output_width = (width + 2 * padding - span) / stride + 1,
                              .output_channels = channels,
                              .kernel_height = size,
                              .kernel_width = size,
                              .stride_height = stride,
                              .stride_width = stride,
                              .dilation_height = dilation,
                              .dilation_width = dilation,
                              .padding_top = padding,
                              .padding_left = padding,
                              .groups = 1};
}

static void test_lines(void) {
    static const size_t channels[] = {1, 3, 4, 5, 8, 15, 16, 17, 24, 33, 144, 256};
    for (size_t size = 3; size <= 5; size += 2)
        for (size_t stride = 1; stride <= 3; stride++)
            for (size_t dilation = 1; dilation <= 3; dilation++)
                for (size_t c = 0; c < sizeof channels / sizeof *channels; c++) {
                    const size_t paddings[] = {0, size / 2 * dilation, size - 1, size + 2};
                    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++) {
                        const struct eo_window w = lines_window(size, stride, dilation, paddings[i], channels[c]);
                        lines_case(&w);
                    }
                }
}

#define EACH_NAME(family)                                                                                              \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *table = family##_rows(&count);                                                          \
        for (int i = 0; i + 1 < count; i++)                                                                            \
            if (kernels_isa_available(table[i].isa)) compared(table[i].name, NULL);                                    \
    } while (0)

void test_depthwise(void) {
    static const size_t channels[] = {1,  2,  3,  4,  5,  7,  8,  9,  12, 13, 15, 16, 17,  19,  23, 24,
                                      27, 31, 32, 33, 35, 47, 48, 63, 64, 65, 72, 96, 127, 128, 129};
    static const size_t taps[] = {1, 2, 3, 4, 5, 9, 25};
    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
        for (size_t s = 0; s < sizeof taps / sizeof *taps; s++)
            for (size_t pixels = 1; pixels <= 7; pixels += 3) {
                float_case(pixels, channels[c], taps[s]);
                byte_case(pixels, channels[c], taps[s], APART);
                short_case(pixels, channels[c], taps[s], APART);
            }
    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
        for (size_t pixels = 1; pixels <= 40; pixels += pixels < 6 ? 1 : 11)
            for (enum form form = LINE; form <= PADDED_LINE; form++) {
                for (int i = 0; i < 3; i++) byte_case(pixels, channels[c], 9, form);
                short_case(pixels, channels[c], 9, form);
            }
    test_lines();
    EACH_NAME(eo_f32_depthwise);
    EACH_NAME(eo_f32_depthwise_lines);
    EACH_NAME(eo_u8_depthwise);
    EACH_NAME(eo_s16_depthwise);
}
