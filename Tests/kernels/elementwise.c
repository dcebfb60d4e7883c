// The element kernels: the same bits as the scalar ones, for every small length, with nothing touched outside.
#include "runs.h"

static const struct eo_elementwise *const *rows;
static int row_count;

static void unary(size_t n) {
    const struct eo_f32_params params = {-0.5f, 3};
    struct block x = any_floats(n);
#define ROW(name) EACH_ROW(#name, FLOATS, n, sizeof(float), row->name(n, x.base, y, &params));
    EO_F32_UNARY(ROW)
#undef ROW
    block_free(&x);
}

#define FORMS(name, kind, size, params)                                                                                \
    EACH_ROW(#name " vector, vector", kind, n, size, row->name.vv(n, a.base, b.base, y, params));                      \
    EACH_ROW(#name " vector, scalar", kind, n, size, row->name.vs(n, a.base, b.base, y, params));                      \
    EACH_ROW(#name " scalar, vector", kind, n, size, row->name.sv(n, a.base, b.base, y, params));

static void float_binary(size_t n) {
    const struct eo_f32_params params = {-5, 6};
    struct block a = any_floats(n ? n : 1), b = any_floats(n ? n : 1);
#define ROW(name) FORMS(name, FLOATS, sizeof(float), &params)
    EO_F32_BINARY(ROW)
#undef ROW
    block_free(&a), block_free(&b);
}

static size_t size_of(const char *name) { return strstr(name, "s32_") ? 4 : strstr(name, "s16_") ? 2 : 1; }

static void integer_binary(size_t n) {
    const struct eo_quantized_binary_params of_bytes = {3, -7, 5, 0.7f, -0.3f, -100, 90};
    const struct eo_quantized_binary_params of_unsigned = {133, 121, 125, 0.7f, -0.3f, -100, 90};
    const struct eo_quantized_binary_params of_shorts = {0, 0, 0, 0.003f, -0.3f, -30000, 29000};
#define OPERANDS(name)                                                                                                 \
    struct block a = bytes((n ? n : 1) * size_of(#name), 0, 255), b = bytes((n ? n : 1) * size_of(#name), 0, 255);     \
    const void *params = size_of(#name) == 2 ? &of_shorts : #name[0] == 'u' ? &of_unsigned : &of_bytes;                \
    FORMS(name, INTEGERS, size_of(#name), params)                                                                      \
    block_free(&a), block_free(&b);
#define ROW(name) {OPERANDS(name)}
    EO_QUANTIZED_BINARY(ROW)
    EO_PLAIN_BINARY(ROW)
#undef ROW
}

static void conversions(size_t n) {
    const struct eo_quantize_params params = {11, 5, 0.37f, -50, 60};
    struct block x = any_floats(n), integers = bytes(4 * n, 0, 255), table = bytes(256, 0, 255);
    // From floats; to floats; the rest are from int32 and make bytes or shorts.
#define TO(name, size) EACH_ROW(#name, INTEGERS, n, size, row->name(n, x.base, y, &params))
    TO(f32_to_s8, 1);
    TO(f32_to_u8, 1);
    TO(f32_to_s16, 2);
    TO(f32_to_f16, 2);
#undef TO
#define FROM(name, kind, from, size)                                                                                   \
    do {                                                                                                               \
        struct block part = block_copy(integers.base, n * from);                                                       \
        EACH_ROW(#name, kind, n, size, row->name(n, part.base, y, &params));                                           \
        block_free(&part);                                                                                             \
    } while (0)
    FROM(s8_to_f32, FLOATS, 1, 4);
    FROM(u8_to_f32, FLOATS, 1, 4);
    FROM(s16_to_f32, FLOATS, 2, 4);
    FROM(f16_to_f32, FLOATS, 2, 4);
    FROM(s32_to_s8, INTEGERS, 4, 1);
    FROM(s32_to_u8, INTEGERS, 4, 1);
    FROM(s32_to_s16, INTEGERS, 4, 2);
    FROM(s16_to_s8, INTEGERS, 2, 1);
    FROM(s16_to_u8, INTEGERS, 2, 1);
    FROM(s16_to_s16, INTEGERS, 2, 2);
#undef FROM
    EACH_ROW("x8_lut", INTEGERS, n, 1, row->x8_lut(n, integers.base, y, table.base));
    block_free(&x), block_free(&integers), block_free(&table);
}

static void reductions(size_t n) {
    struct block x = floats(n), integers = bytes(2 * n, 0, 255), bytes_ = block_copy(integers.base, n);
    EACH_ROW("f32_add_rows", FLOATS, n, 4,
             (memset(y, 0, n * 4), row->f32_add_rows(n / 7, 7, n / 7, x.base, (float *)y)));
    EACH_ROW("f32_sum", FLOATS, 1, 4, *(float *)y = row->f32_sum(n, x.base));
    EACH_ROW("f32_sum_of_squares", FLOATS, 1, 4, *(float *)y = row->f32_sum_of_squares(n, x.base));
    EACH_ROW("f32_maximum", FLOATS, 1, 4, *(float *)y = row->f32_maximum(n, x.base));
    EACH_ROW("f32_minimum", FLOATS, 1, 4, *(float *)y = row->f32_minimum(n, x.base));
    EACH_ROW("f32_exp_sum", FLOATS, n, 4, row->f32_exp_sum(n, x.base, y, 1, 5));
    EACH_ROW("f32_exp_sum's sum", FLOATS, n + 1, 4, ((float *)y)[n] = row->f32_exp_sum(n, x.base, y, 1, 5));
    EACH_ROW("s8_sum", INTEGERS, 1, 4, *(int32_t *)y = row->s8_sum(n, bytes_.base));
    EACH_ROW("u8_sum", INTEGERS, 1, 4, *(int32_t *)y = row->u8_sum(n, bytes_.base));
    EACH_ROW("s16_sum", INTEGERS, 1, 4, *(int32_t *)y = row->s16_sum(n, integers.base));
    EACH_ROW("s8_add_rows", INTEGERS, n, 4, (memset(y, 0, 4 * n), row->s8_add_rows(n / 7, 7, n / 7, bytes_.base, y)));
    EACH_ROW("u8_add_rows", INTEGERS, n, 4, (memset(y, 0, 4 * n), row->u8_add_rows(n / 7, 7, n / 7, bytes_.base, y)));
    EACH_ROW("s16_add_rows", INTEGERS, n, 4,
             (memset(y, 0, 4 * n), row->s16_add_rows(n / 7, 7, n / 7, integers.base, y)));
    EACH_ROW("s16_dots", INTEGERS, 3, 8, row->s16_dots(n / 2, 3, integers.base, n / 4, integers.base, n / 8, y));
    block_free(&x), block_free(&integers), block_free(&bytes_);
}

// The constants in each table's own order.
static void scale_shift(const struct eo_elementwise *row, bool is_signed, size_t n, const void *x,
                        const struct block *factors, const struct block *shifts, void *y) {
    struct eo_scale_shift_params params = {-3, 5, 0.037f, -60, 50, 0.8f, -90, 80, false};
    if (!is_signed) params.zero_x = 125, params.zero_y = 133;
    struct block f = block_of(n * sizeof(float)), s = block_of(n * sizeof(float));
    memcpy(f.base, factors->base, n * sizeof(float));
    memcpy(s.base, shifts->base, n * sizeof(float));
    params.arranged = row->arrange(n, f.base);
    if (params.arranged) row->arrange(n, s.base);
    (is_signed ? row->s8_scale_shift : row->u8_scale_shift)(n, x, f.base, s.base, y, &params);
    block_free(&f), block_free(&s);
}

static void arranged(size_t n, const struct block *factors, const struct block *shifts) {
    struct block x = bytes(n, 0, 255);
    EACH_ROW("s8_scale_shift arranged", INTEGERS, n, 1, scale_shift(row, true, n, x.base, factors, shifts, y));
    EACH_ROW("u8_scale_shift arranged", INTEGERS, n, 1, scale_shift(row, false, n, x.base, factors, shifts, y));
    block_free(&x);
}

static void constants(size_t n) {
    const struct eo_scale_shift_params params = {-3, 5, 0.37f, -60, 50, 0.8f, -100, 110, false};
    struct block reals = any_floats(n), integers = bytes(n, 0, 255), factors = block_of(n * sizeof(float));
    struct block shifts = floats(n), x = floats(n);
    for (size_t i = 0; i < n; i++) ((float *)factors.base)[i] = (float)number(-127, 127);
    EACH_ROW("f32_scale_shift", FLOATS, n, 4,
             row->f32_scale_shift(n, reals.base, factors.base, shifts.base, y, &params));
    EACH_ROW("s8_scale_shift", INTEGERS, n, 1,
             row->s8_scale_shift(n, integers.base, factors.base, shifts.base, y, &params));
    EACH_ROW("u8_scale_shift", INTEGERS, n, 1,
             row->u8_scale_shift(n, integers.base, factors.base, shifts.base, y, &params));
    EACH_ROW("s16_scale_shift", INTEGERS, n, 2,
             row->s16_scale_shift(n, reals.base, factors.base, shifts.base, y, &params));
    arranged(n, &factors, &shifts);
    if (n > 0) {
        EACH_ROW("f32_layer_norm", FLOATS, n, 4,
                 row->f32_layer_norm(n, x.base, factors.base, shifts.base, y, 0x1p-10f));
        EACH_ROW("f32_layer_norm alone", FLOATS, n, 4, row->f32_layer_norm(n, x.base, NULL, NULL, y, 0x1p-10f));
    }
    block_free(&reals), block_free(&integers), block_free(&factors), block_free(&shifts), block_free(&x);
}

static void fake_quantization(size_t n) {
    const struct eo_fake_quantize_params params = {20, 0.05f, -7, 8};
    struct block x = any_floats(n), dy = floats(n), inverse = scales(n, 10), factor = scales(n, 0.001f);
    const struct eo_fake_requantize_params sums = {inverse.base, factor.base, 0.05f, -100, 90, 3, n % 2};
    EACH_ROW("f32_fake_quantize", FLOATS, n, 4, row->f32_fake_quantize(n, x.base, y, &params));
    EACH_ROW("f32_fake_requantize", FLOATS, n, 4, row->f32_fake_requantize(n, x.base, y, &sums));
    EACH_ROW("f32_fake_quantize_gradient", FLOATS, n, 4,
             row->f32_fake_quantize_gradient(n, x.base, dy.base, y, &params));
    EACH_ROW("f32_passing", INTEGERS, (n + 7) / 8, 1, row->f32_passing(n, x.base, y, &params));
    struct block bits = bytes((n + 7) / 8, 0, 255);
    EACH_ROW("f32_pass", FLOATS, n, 4, row->f32_pass(n, dy.base, bits.base, y));
    EACH_ROW("f32_pass in place", FLOATS, n, 4, (memcpy(y, dy.base, 4 * n), row->f32_pass(n, y, bits.base, y)));
    block_free(&bits);
    EACH_ROW("f32_fake_quantize_scale_gradient", FLOATS, 1, 4,
             *(float *)y = row->f32_fake_quantize_scale_gradient(n, dy.base, dy.base, &params));
    block_free(&x), block_free(&dy), block_free(&inverse), block_free(&factor);
}

// `count` windows, `step` pixels apart.
static void pool(size_t rows_, size_t columns, size_t count, size_t step, size_t channels) {
    const size_t pixels = (rows_ - 1) * 7 + (count - 1) * step + columns;
    struct block numbers = bytes(pixels * channels * 2, 0, 255), reals = floats(pixels * channels);
#define ROW(name)                                                                                                      \
    {                                                                                                                  \
        const bool is_float = strstr(#name, "f32_"), mean = strstr(#name, "average");                                  \
        const struct eo_pool_window w = {.rows = rows_,                                                                \
                                         .columns = columns,                                                           \
                                         .channels = channels,                                                         \
                                         .row_stride = 7 * channels,                                                   \
                                         .pixel_stride = channels,                                                     \
                                         .step = step * channels,                                                      \
                                         .count = count,                                                               \
                                         .factor = !mean      ? 1                                                      \
                                                   : is_float ? (float)(rows_ * columns)                               \
                                                              : 1.0f / (float)(rows_ * columns),                       \
                                         .low = is_float              ? -0.5f                                          \
                                                : strstr(#name, "u8") ? 3                                              \
                                                                      : -101,                                          \
                                         .high = is_float ? 0.75f : 120};                                              \
        struct block x = is_float ? block_copy(reals.base, reals.size)                                                 \
                                  : block_copy(numbers.base, pixels * channels * size_of(#name));                      \
        EACH_ROW(#name, is_float ? FLOATS : INTEGERS, count *channels, is_float ? 4 : size_of(#name),                  \
                 row->name(&w, x.base, y));                                                                            \
        block_free(&x);                                                                                                \
    }
    EO_POOLS(ROW)
#undef ROW
    const struct eo_pool_window w = {.rows = rows_,
                                     .columns = columns,
                                     .channels = channels,
                                     .row_stride = 7 * channels,
                                     .pixel_stride = channels,
                                     .step = step * channels,
                                     .count = count,
                                     .low = -0.5f,
                                     .high = 0.75f};
    const size_t results = count * channels;
    struct block y_ = block_of(results * 4), places = block_of(results * 2);
    EACH_ROW("f32_max_pool_place", FLOATS, results, 4, row->f32_max_pool_place(&w, reals.base, y, places.base));
    EACH_ROW("f32_max_pool_place's places", INTEGERS, results, 2, row->f32_max_pool_place(&w, reals.base, y_.base, y));
    EACH_ROW("f32_max_unpool", FLOATS, pixels * channels, 4,
             (memcpy(y, reals.base, reals.size), row->f32_max_unpool(&w, places.base, y_.base, y, channels % 2)));
    block_free(&numbers), block_free(&reals), block_free(&y_), block_free(&places);
}

// A line of nine pixels: some between the same columns, at the border, or where an input pixel lies.
static void resize(size_t channels) {
    const struct eo_resize_tap taps[] = {{0, 0, 1472, -448}, {0, 1, 1000, 24}, {0, 1, 700, 324},
                                         {1, 1, 1024, 0},    {1, 2, 513, 511}, {2, 3, 512, 512},
                                         {2, 3, 2, 1022},    {2, 3, 1, 1023},  {3, 3, 1024, 0}};
    struct eo_resize_tap fractions[9];
    for (size_t i = 0; i < 9; i++)
        fractions[i] = (struct eo_resize_tap){taps[i].low, taps[i].high, taps[i].left / 1024, taps[i].right / 1024};
    struct block real = floats(8 * channels), whole = bytes(16 * channels, 0, 255);
    const size_t line = 4 * channels;
#define ROW(name)                                                                                                      \
    {                                                                                                                  \
        const bool is_float = strstr(#name, "f32_"), has_sign = #name[0] == 's';                                       \
        const size_t size = is_float ? 4 : size_of(#name);                                                             \
        const struct eo_resize params = {9, channels, has_sign ? taps : fractions, has_sign ? 700 : 0.7f,              \
                                         has_sign ? 324 : 0.3f};                                                       \
        struct block x = block_copy(is_float ? real.base : whole.base, 2 * line * size);                               \
        EACH_ROW(#name, is_float ? FLOATS : INTEGERS, 9 * channels, size,                                              \
                 row->name(&params, x.base, (char *)x.base + line * size, y));                                         \
        block_free(&x);                                                                                                \
    }
    EO_RESIZES(ROW)
#undef ROW
    block_free(&real), block_free(&whole);
}

// Three rows, two numbers apart: infinities, nothing but NaN, the greatest several times.
static void greatest(size_t n) {
    struct block real = any_floats(3 * n + 4), whole = bytes(3 * n + 4, 0, 3);
    for (size_t i = 0; i < n; i++) ((float *)real.base)[n + 2 + i] = NAN;
    static const uint32_t flips[] = {0, 1u << 31}, byte_flips[] = {0, 0x7f, 0x80, 0xff};
    for (size_t form = 0; form < 4; form++) {
        const struct eo_greatest_place floats = {3, n, n + 2, flips[form % 2], form > 1};
        EACH_ROW("f32_greatest_place", INTEGERS, 3, form > 1 ? 8 : 4, row->f32_greatest_place(&floats, real.base, y));
        const struct eo_greatest_place bytes = {3, n, n + 2, byte_flips[form], form > 1};
        EACH_ROW("x8_greatest_place", INTEGERS, 3, form > 1 ? 8 : 4, row->x8_greatest_place(&bytes, whole.base, y));
    }
    block_free(&real), block_free(&whole);
}

// Any numbers would do for the twiddles. Even and odd numbers of steps.
static void fourier(size_t points) {
    struct block twiddles = block_of((2 * points + 6) * sizeof(double)), lines = block_of((points + 1) * 128);
    for (size_t i = 0; i < 2 * points + 6; i++) ((double *)twiddles.base)[i] = real();
    for (size_t i = 0; i < (points + 1) * 16; i++) ((double *)lines.base)[i] = real();
    EACH_ROW("f64_fourier", INTEGERS, points, 128,
             (memcpy(y, lines.base, points * 128), row->f64_fourier(points, twiddles.base, y)));
    EACH_ROW("f64_real_spectrum", INTEGERS, points + 1, 128,
             (memcpy(y, lines.base, lines.size), row->f64_real_spectrum(points, twiddles.base, y)));
    block_free(&twiddles), block_free(&lines);
}

void test_elementwise(void) {
    static const size_t large[] = {63, 64, 65, 257};
    rows = eo_elementwise_rows(&row_count);
    for (size_t i = 0; i <= 50 + sizeof large / sizeof *large; i++) {
        const size_t n = i <= 50 ? i : large[i - 51];
        unary(n), float_binary(n), integer_binary(n), conversions(n), reductions(n), constants(n), fake_quantization(n);
        if (n == 0) continue;
        resize(n), greatest(n);
        pool(1, 1, 3, 1, n), pool(2, 3, 4, 2, n), pool(5, 7, 1, 1, n), pool(3, 3, 12, 1, n), pool(20, 7, 2, 1, n);
    }
    for (size_t points = 1; points <= 64; points *= 2) fourier(points);
    EACH_TABLE("eo_elementwise");
}
