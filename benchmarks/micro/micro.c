// Speed of every convolution kernel of the table on layers of real networks: GMAC/s, and percent of what this core's
// multiply-add instructions reach when they do nothing else.
//
//     benchmarks/micro/run [part of a kernel's name] [part of a layer's name]
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct layer {
    char name[32];
    size_t height, width, inputs, outputs, kernel, stride;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *allocate(size_t size) {
    void *block = aligned_alloc(64, (size + 127) / 64 * 64);
    if (!block) exit(2);
    memset(block, 0x3c, (size + 127) / 64 * 64); // a float near 0.01: no products so small that they are slow
    return block;
}

// --------------------------------------------------------------------------------------------------------------- peak

// Twelve independent chains of `STEP` on the registers of one instruction set; GMAC/s, best of five.
#define KEEP(i) "+v"(sum[i])
#define PEAK(name, features, TYPE, START, STEP, products)                                                              \
    __attribute__((target(features), noinline)) static double name(void) {                                             \
        TYPE sum[12];                                                                                                  \
        const TYPE x = START;                                                                                          \
        const long rounds = 1000000;                                                                                   \
        double best = 0;                                                                                               \
        for (int i = 0; i < 12; i++) sum[i] = START;                                                                   \
        for (int run = 0; run < 5; run++) {                                                                            \
            const double start = now();                                                                                \
            for (long r = 0; r < rounds; r++) {                                                                        \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < 12; i++) sum[i] = STEP;                         \
                __asm__ volatile(""                                                                                    \
                                 : KEEP(0), KEEP(1), KEEP(2), KEEP(3), KEEP(4), KEEP(5), KEEP(6), KEEP(7), KEEP(8),    \
                                   KEEP(9), KEEP(10), KEEP(11));                                                       \
            }                                                                                                          \
            const double speed = 12e-9 * products * (double)rounds / (now() - start);                                  \
            if (speed > best) best = speed;                                                                            \
        }                                                                                                              \
        return best;                                                                                                   \
    }
#if defined(__x86_64__)
// Four sums of tiles, as the kernels have them.
__attribute__((target("amx-tile,amx-int8"), noinline)) static double u8_amx(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int i = 0; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = 16;
    _tile_loadconfig(&c);
    const long rounds = 100000;
    double best = 0;
    for (int run = 0; run < 5; run++) {
        const double start = now();
        for (long r = 0; r < rounds; r++) {
            _tile_dpbusd(0, 4, 6);
            _tile_dpbusd(1, 4, 7);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
        const double speed = 4e-9 * 16 * 16 * 64 * (double)rounds / (now() - start);
        if (speed > best) best = speed;
    }
    _tile_release();
    return best;
}
PEAK(f32_avx512, "avx512f", __m512, _mm512_set1_ps(1e-9f), _mm512_fmadd_ps(sum[i], x, x), 16)
PEAK(f32_avx2, "avx2,fma", __m256, _mm256_set1_ps(1e-9f), _mm256_fmadd_ps(sum[i], x, x), 8)
PEAK(u8_avx512vnni, "avx512f,avx512vnni", __m512i, _mm512_set1_epi8(1), _mm512_dpbusd_epi32(sum[i], x, x), 64)
PEAK(u8_avxvnni, "avx2,avxvnni", __m256i, _mm256_set1_epi8(1), _mm256_dpbusd_avx_epi32(sum[i], x, x), 32)
PEAK(s16_avx512, "avx512f,avx512bw", __m512i, _mm512_set1_epi16(1), _mm512_add_epi32(x, _mm512_madd_epi16(sum[i], x)),
     32)
PEAK(s16_avx2, "avx2", __m256i, _mm256_set1_epi16(1), _mm256_add_epi32(x, _mm256_madd_epi16(sum[i], x)), 16)
#endif

// 0: not known (scalar code).
static double peak(int isFloat, enum kernels_isa isa) {
    static double known[2][ISA_COUNT];
    double *value = &known[isFloat != 0][isa];
    if (*value != 0) return *value;
#if defined(__x86_64__)
    switch (isa) {
    case ISA_AMX:
        return *value = isFloat ? u8_amx() / 2 : u8_amx(); // bfloat16: half as many products in the same time
    case ISA_AVX512VNNI:
        return *value = u8_avx512vnni();
    case ISA_AVXVNNI:
        return *value = u8_avxvnni();
    case ISA_AVX512:
        return *value = isFloat ? f32_avx512() : s16_avx512();
    case ISA_AVX2:
        return *value = isFloat ? f32_avx2() : s16_avx2();
    default:
        break;
    }
#endif
    return 0;
}

// ------------------------------------------------------------------------------------------------------------- layers

static struct eo_window window_of(const struct layer *l) {
    const size_t height = (l->height + l->stride - 1) / l->stride, width = (l->width + l->stride - 1) / l->stride;
    const size_t padding = ((height - 1) * l->stride + l->kernel - l->height) / 2;
    return (struct eo_window){
        .batch = 1,
        .input_height = l->height,
        .input_width = l->width,
        .input_channels = l->inputs,
        .output_height = height,
        .output_width = width,
        .output_channels = l->outputs ? l->outputs : l->inputs,
        .kernel_height = l->kernel,
        .kernel_width = l->kernel,
        .stride_height = l->stride,
        .stride_width = l->stride,
        .dilation_height = 1,
        .dilation_width = 1,
        .padding_top = padding,
        .padding_left = padding,
        .groups = 1,
    };
}

static void report(const char *kernel, const struct layer *l, double products, double seconds, double limit) {
    const double speed = 1e-9 * products / seconds;
    printf("%-34s %-13s %9.1f us %8.1f GMAC/s", kernel, l->name, 1e6 * seconds, speed);
    if (limit > 0) printf(" %5.1f %%", 100 * speed / limit);
    putchar('\n');
}

// Best of many runs: the machine's own speed, without what else it does.
#define BEST(seconds, body)                                                                                            \
    double seconds = 1e9;                                                                                              \
    for (double begin = now(), t; (t = now()) - begin < 0.05;) {                                                       \
        body;                                                                                                          \
        t = now() - t;                                                                                                 \
        if (t < seconds) seconds = t;                                                                                  \
    }

struct form {
    int isFloat;
    size_t element, multiple; // bytes of an activation; rows are filled up to this many
    size_t output;            // bytes of a result, if it is no activation
    size_t pieces;            // of rows that tiles take straight from the image
    size_t parts;             // of bfloat16 that floats are gathered in; 0: numbers as they are
};

static void convolution(const char *name, enum kernels_isa isa, eo_gemm_function *run, int mr, int nr,
                        const struct layer *l, struct form form, const void *packed, size_t block,
                        const void *parameters) {
    const struct eo_window w = window_of(l);
    const int split = form.element == 2 && !form.isFloat && eo_gemm_takes_split_rows(isa);
    const size_t depth = w.kernel_height * w.kernel_width * w.input_channels;
    const size_t pieces = form.pieces ? form.pieces : 1;
    const size_t filled = (depth / pieces + form.multiple - 1) / form.multiple * form.multiple * pieces;
    const size_t row_size = form.element == 1 ? eo_gemm_row_size(isa, filled) : filled * form.element;
    const size_t rows = w.output_height * w.output_width;
    struct eo_convolution c = {
        .window = w,
        .input_element_size = form.element,
        .output_element_size = form.output ? form.output : form.element,
        .run = run,
        .mr = (size_t)mr,
        .nr = (size_t)nr,
        .depth = filled,
        .block_size = block,
        .fill = (filled - depth) * form.element,
        .flip = form.element == 1 && !eo_gemm_takes_signed_rows(isa) ? 0x80 : 0,
        .weights = packed,
        .parameters = parameters,
    };
    if (form.parts) {
        c.parts = form.parts;
        c.gather = eo_gather_bf16x3_best()->run;
        c.row_stride = form.parts * eo_bf16_row_size(depth);
    } else if (form.element == 4 && l->kernel > 1) {
        eo_convolution_segment(&c);
    } else if (form.pieces) {
        eo_convolution_by_lines(&c, form.pieces, 1);
    } else if (l->kernel > 1 || c.flip || split || row_size > depth * form.element) {
        c.gather = form.element == 1 ? eo_gather_for(isa)
                   : split           ? eo_gather_split_best()->run
                                     : eo_gather_best()->run;
        c.row_stride = (row_size / 128 + 1) * 128;
    }
    if (!form.pieces) c.mr = eo_convolution_rows(&c, (size_t)mr, 1);
    void *input = allocate(l->height * l->width * l->inputs * form.element);
    void *output = allocate(rows * w.output_channels * c.output_element_size);
    // Tiles of parts come in pairs.
    const size_t more = form.parts ? 32 * c.row_stride : 0;
    void *scratch = allocate(c.row_stride * c.mr + c.slot_size + more);
    c.input = input;
    c.output = output;
    c.scratch = scratch;
    const size_t units = eo_convolution_start(&c, 1);
    BEST(seconds, for (size_t unit = 0; unit < units; unit++) eo_convolution_work(&c, unit, 0))
    const double limit = peak(form.isFloat, isa) / (form.parts > 1 ? 6 : 1); // products of parts
    report(name, l, (double)(rows * depth * w.output_channels), seconds, limit);
    free(input), free(output), free(scratch);
}

static void depthwise(const char *name, enum kernels_isa isa, eo_depthwise_function *run,
                      eo_f32_depthwise_lines_function *lines, const struct layer *l, struct form form,
                      const void *packed, const void *parameters) {
    const struct eo_window w = window_of(l);
    const size_t pixels = w.output_height * w.output_width, pixel = l->inputs * form.element;
    void *input = allocate(l->height * l->width * pixel), *output = allocate(pixels * pixel);
    void *padding = allocate(pixel), *scratch = allocate(eo_depthwise_slot_size(&w) + EO_DEPTHWISE_SCRATCH);
    struct eo_depthwise d = {
        .window = w,
        .input_element_size = form.element,
        .output_element_size = form.element,
        .run = run,
        .lines = lines,
        .slot_size = eo_depthwise_slot_size(&w),
        .input = input,
        .output = output,
        .weights = packed,
        .padding = padding,
        .scratch = scratch,
        .parameters = parameters,
    };
    const size_t units = eo_depthwise_start(&d, 1);
    BEST(seconds, for (size_t unit = 0; unit < units; unit++) eo_depthwise_work(&d, unit, 0))
    report(name, l, (double)(pixels * l->inputs * l->kernel * l->kernel), seconds, peak(form.isFloat, isa));
    free(input), free(output), free(padding), free(scratch);
}

// GMAC/s as if by the definition: the percentage can be above 100.
static void winograd(size_t m, const struct layer *l, const void *weights) {
    const struct eo_window w = window_of(l);
    const eo_f32_gemm_kernel *k = eo_f32_gemm_best();
    void *packed = allocate(eo_winograd_packed_size(k->nr, m, l->inputs, l->outputs));
    eo_winograd_pack(k->nr, m, l->inputs, l->outputs, weights, NULL, packed);
    const size_t pixels = w.output_height * w.output_width;
    struct eo_winograd c = {
        .window = w,
        .m = m,
        .run = k->run,
        .mr = (size_t)k->mr,
        .nr = (size_t)k->nr,
        .transform_input = eo_winograd_input_best()->run,
        .transform_output = eo_winograd_output_best()->run,
        .weights = packed,
        .parameters = {-1e30f, 1e30f},
    };
    eo_winograd_plan(&c);
    float *input = allocate(l->height * l->width * l->inputs * 4), *output = allocate(pixels * l->outputs * 4);
    c.scratch = allocate(c.slot_size);
    c.input = input;
    c.output = output;
    const size_t units = eo_winograd_start(&c, 1);
    BEST(seconds, for (size_t unit = 0; unit < units; unit++) eo_winograd_work(&c, unit, 0))
    char name[64];
    snprintf(name, sizeof name, "eo_winograd %zux%zu%s", m, m, eo_winograd_size(&w) == m ? " (chosen)" : "");
    report(name, l, (double)(pixels * 9 * l->inputs * l->outputs), seconds, peak(1, k->isa));
    free(input), free(output), free(c.scratch), free(packed);
}

// Weights of a layer for one kernel are made, timed and freed by `body`.
#define EACH_ROW(family, body)                                                                                         \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *k = family##_rows(&count);                                                              \
        for (; count-- > 0; k++) {                                                                                     \
            if (!kernels_isa_available(k->isa) || !strstr(k->name, kernel_part)) continue;                             \
            void *packed;                                                                                              \
            body;                                                                                                      \
            free(packed);                                                                                              \
        }                                                                                                              \
    } while (0)

static void run_layer(const struct layer *l, const char *kernel_part) {
    const size_t channels = l->outputs ? l->outputs : l->inputs;
    const size_t taps = l->kernel * l->kernel, depth = l->outputs ? taps * l->inputs : taps;
    void *weights = allocate(depth * channels * 4);
    float *scale = allocate(channels * sizeof(float));
    int64_t *bias = allocate(channels * sizeof(int64_t));
    memset(scale, 0, channels * sizeof(float));
    const struct form f32 = {1, 4, 1, 0, 0, 0}, bf16x3 = {1, 4, 1, 0, 0, EO_BF16X3_PARTS};
    const struct form bf16 = {1, 4, EO_BF16X3_STEP, 0, 0, 1};
    struct form bf16_lines = {1, 2, 2, 4, 0, 0};
    struct form u8 = {0, 1, 4, 0, 0, 0}, s16 = {0, 2, 2, 0, 0, 0};
    const struct eo_f32_gemm_parameters clamp = {-1e30f, 1e30f};
    const struct eo_u8_gemm_parameters bytes = {-128, 127, 0, 0, true, true};
    const struct eo_u8_depthwise_parameters depthwise_bytes = {127, -128, 0, 0, 0x80};
    const struct eo_s16_parameters shorts = {-32768, 32767, 0, true};
    struct eo_u8_gemm_weights source = {depth, channels, weights, 0, 0, 128, NULL, scale, 1};
    if (l->outputs) {
        EACH_ROW(eo_f32_gemm, packed = allocate(eo_f32_gemm_packed_size(k->nr, depth, channels));
                 eo_f32_gemm_pack(k->nr, depth, channels, weights, NULL, packed);
                 convolution(k->name, k->isa, k->run, k->mr, k->nr, l, f32, packed,
                             eo_f32_gemm_packed_size(k->nr, depth, 1), &clamp));
        for (size_t m = 2; m <= 4 && l->kernel == 3 && l->stride == 1 && strstr("eo_winograd", kernel_part); m += 2)
            winograd(m, l, weights);
        EACH_ROW(eo_bf16x3_gemm, packed = allocate(eo_bf16x3_gemm_packed_size(depth, channels));
                 eo_bf16x3_gemm_pack(depth, channels, weights, NULL, packed);
                 convolution(k->name, k->isa, k->run, k->mr, k->nr, l, bf16x3, packed,
                             eo_bf16x3_gemm_packed_size(depth, 1), &clamp));
        EACH_ROW(
            eo_bf16_gemm, const struct eo_window w = window_of(l);
            const size_t pieces = k->isa == ISA_AMX && l->kernel > 1 ? eo_convolution_pieces(&w) : 0;
            const size_t size = eo_bf16_gemm_packed_size(k, depth, pieces);
            packed = allocate((channels + 31) / k->nr * size);
            eo_bf16_gemm_pack(k, depth, pieces, channels, weights, NULL, packed); bf16_lines.pieces = pieces;
            convolution(k->name, k->isa, k->run, k->mr, k->nr, l, pieces ? bf16_lines : bf16, packed, size, &clamp));
        EACH_ROW(eo_u8_gemm, const struct eo_window w = window_of(l);
                 const size_t pieces = k->isa == ISA_AMX && l->kernel > 1 ? eo_convolution_pieces(&w) : 0;
                 source.pieces = pieces ? pieces : 1;
                 packed = allocate(eo_u8_gemm_packed_size(k, depth, channels, source.pieces));
                 eo_u8_gemm_pack(k, &source, packed); u8.pieces = pieces;
                 convolution(k->name, k->isa, k->run, k->mr, k->nr, l, u8, packed,
                             eo_u8_gemm_packed_size(k, depth, 1, source.pieces), &bytes));
        EACH_ROW(eo_s16_gemm, packed = allocate(eo_s16_gemm_packed_size(k, depth, channels));
                 eo_s16_gemm_pack(k, depth, channels, weights, scale, bias, packed);
                 s16.multiple = eo_s16_depth_step(k->isa);
                 convolution(k->name, k->isa, k->run, k->mr, k->nr, l, s16, packed,
                             eo_s16_gemm_packed_size(k, depth, 1), &shorts));
    } else {
        EACH_ROW(eo_f32_depthwise, packed = allocate(eo_f32_depthwise_packed_size(taps, channels));
                 eo_f32_depthwise_pack(taps, channels, weights, NULL, packed);
                 depthwise(k->name, k->isa, k->run, NULL, l, f32, packed, &clamp));
        EACH_ROW(eo_f32_depthwise_lines, packed = allocate(eo_f32_depthwise_packed_size(taps, channels));
                 eo_f32_depthwise_pack(taps, channels, weights, NULL, packed);
                 depthwise(k->name, k->isa, NULL, k->run, l, f32, packed, &clamp));
        EACH_ROW(eo_u8_depthwise, packed = allocate(eo_u8_depthwise_packed_size(k, taps, channels));
                 eo_u8_depthwise_pack(k, &source, packed);
                 depthwise(k->name, k->isa, k->run, NULL, l, u8, packed, &depthwise_bytes));
        EACH_ROW(eo_s16_depthwise, packed = allocate(eo_s16_depthwise_packed_size(k, taps, channels));
                 eo_s16_depthwise_pack(k, taps, channels, weights, scale, bias, packed);
                 depthwise(k->name, k->isa, k->run, NULL, l, s16, packed, &shorts));
    }
    free(weights), free(scale), free(bias);
}

int main(int count, char **arguments) {
    const char *kernel_part = count > 2 ? arguments[2] : "", *layer_part = count > 3 ? arguments[3] : "";
    FILE *file = count > 1 ? fopen(arguments[1], "r") : NULL;
    if (!file) return fprintf(stderr, "usage: micro LAYERS [part of a kernel's name] [part of a layer's name]\n"), 2;
    printf("richest instruction set: %s\n", kernels_isa_name());
    for (char line[256]; fgets(line, sizeof line, file);) {
        struct layer l;
        if (sscanf(line, "%31s %zu %zu %zu %zu %zu %zu", l.name, &l.height, &l.width, &l.inputs, &l.outputs, &l.kernel,
                   &l.stride) != 7 ||
            line[0] == '#' || !strstr(l.name, layer_part))
            continue;
        run_layer(&l, kernel_part);
    }
    fclose(file);
}
