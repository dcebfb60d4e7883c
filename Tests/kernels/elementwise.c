// The element kernels: the same bits as the scalar ones, for every small length, with nothing touched outside.
#include "check.h"

#include <math.h>

static const struct eo_elementwise *const *rows;
static int row_count;
static const char *const names[] = {
    [ISA_SCALAR] = "scalar", [ISA_AVX2] = "avx2", [ISA_AVX512] = "avx512", [ISA_NEON] = "neon"};

// Values of all sizes and signs, infinities and NaN among them.
static float any(void) {
    static const float special[] = {0,      -0.0f,   INFINITY, -INFINITY, NAN, 88.8f,
                                    -88.8f, -103.9f, 0.625f,   0x1p-140f, 6e4f};
    return number(0, 12) == 7 ? special[number(0, 10)] : real() * (float)(1 << number(0, 7));
}

static struct block any_floats(size_t count) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = any();
    return block;
}

// Every NaN the same.
static void settle(struct block *block) {
    for (size_t i = 0; i < block->size / sizeof(float); i++) {
        float *x = (float *)block->base + i;
        if (*x != *x) memset(x, 0x7f, sizeof *x);
    }
}

enum kind {
    FLOATS,
    INTEGERS,
    LIBRARY
}; // LIBRARY: floats that the C library computes, which may differ between machines

static void agree(const char *name, enum kind kind, struct block *outputs, size_t length) {
    for (int i = 0; i < row_count; i++) {
        if (!outputs[i].base) continue;
        if (kind != INTEGERS) settle(outputs + i);
    }
    const struct block *expected = outputs + row_count - 1;
    for (int i = 0; i < row_count; i++) {
        if (!outputs[i].base) continue;
        check(memcmp(outputs[i].base, expected->base, expected->size) == 0, names[rows[i]->isa], "%s of %zu", name,
              length);
    }
    if (kind != LIBRARY) digest(expected->base, expected->size);
    for (int i = 0; i < row_count; i++)
        if (outputs[i].base) block_free(outputs + i);
}

// What each row's kernel makes of `length` elements, as `call` with `row` and `y` says.
#define EACH_ROW(name, kind, length, size, call)                                                                       \
    do {                                                                                                               \
        struct block outputs[8] = {{NULL, 0}};                                                                         \
        for (int i = 0; i < row_count; i++) {                                                                          \
            const struct eo_elementwise *row = rows[i];                                                                \
            if (!kernels_isa_available(row->isa)) continue;                                                            \
            outputs[i] = block_of((length) * (size));                                                                  \
            void *y = outputs[i].base;                                                                                 \
            call;                                                                                                      \
        }                                                                                                              \
        agree(name, kind, outputs, length);                                                                            \
    } while (0)

static void unary(size_t n) {
    const struct eo_f32_params params = {-0.5f, 3};
    struct block x = any_floats(n);
#define ROW(name)                                                                                                      \
    EACH_ROW(#name, strstr("f32_log f32_sin f32_cos", #name) ? LIBRARY : FLOATS, n, sizeof(float),                     \
             row->name(n, x.base, y, &params));
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
    const struct eo_quantized_binary_params of_shorts = {0, 0, 0, 0.003f, -0.3f, -30000, 29000};
#define OPERANDS(name)                                                                                                 \
    struct block a = bytes((n ? n : 1) * size_of(#name), 0, 255), b = bytes((n ? n : 1) * size_of(#name), 0, 255);     \
    const void *params = size_of(#name) == 2 ? &of_shorts : &of_bytes;                                                 \
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
#undef FROM
    EACH_ROW("x8_lut", INTEGERS, n, 1, row->x8_lut(n, integers.base, y, table.base));
    block_free(&x), block_free(&integers), block_free(&table);
}

static void reductions(size_t n) {
    struct block x = floats(n), integers = bytes(2 * n, 0, 255), bytes_ = block_copy(integers.base, n);
    EACH_ROW("f32_sum", FLOATS, 1, 4, *(float *)y = row->f32_sum(n, x.base));
    EACH_ROW("f32_sum_of_squares", FLOATS, 1, 4, *(float *)y = row->f32_sum_of_squares(n, x.base));
    EACH_ROW("f32_maximum", FLOATS, 1, 4, *(float *)y = row->f32_maximum(n, x.base));
    EACH_ROW("f32_minimum", FLOATS, 1, 4, *(float *)y = row->f32_minimum(n, x.base));
    EACH_ROW("f32_exp_sum", FLOATS, n, 4, row->f32_exp_sum(n, x.base, y, 1, 5));
    EACH_ROW("f32_exp_sum's sum", FLOATS, n + 1, 4, ((float *)y)[n] = row->f32_exp_sum(n, x.base, y, 1, 5));
    EACH_ROW("s8_sum", INTEGERS, 1, 4, *(int32_t *)y = row->s8_sum(n, bytes_.base));
    EACH_ROW("u8_sum", INTEGERS, 1, 4, *(int32_t *)y = row->u8_sum(n, bytes_.base));
    EACH_ROW("s16_sum", INTEGERS, 1, 4, *(int32_t *)y = row->s16_sum(n, integers.base));
    EACH_ROW("s8_accumulate", INTEGERS, n, 4, (memset(y, 0, 4 * n), row->s8_accumulate(n, bytes_.base, y)));
    EACH_ROW("u8_accumulate", INTEGERS, n, 4, (memset(y, 0, 4 * n), row->u8_accumulate(n, bytes_.base, y)));
    EACH_ROW("s16_accumulate", INTEGERS, n, 4, (memset(y, 0, 4 * n), row->s16_accumulate(n, integers.base, y)));
    block_free(&x), block_free(&integers), block_free(&bytes_);
}

static void pool(size_t rows_, size_t columns, size_t channels) {
    const size_t pixels = (rows_ - 1) * 7 + columns;
    struct block numbers = bytes(pixels * channels * 2, 0, 255), reals = floats(pixels * channels);
#define ROW(name)                                                                                                      \
    {                                                                                                                  \
        const bool is_float = strstr(#name, "f32_"), mean = strstr(#name, "average");                                  \
        const struct eo_pool_window w = {.rows = rows_,                                                                \
                                         .columns = columns,                                                           \
                                         .channels = channels,                                                         \
                                         .row_stride = 7 * channels,                                                   \
                                         .pixel_stride = channels,                                                     \
                                         .factor = !mean      ? 1                                                      \
                                                   : is_float ? (float)(rows_ * columns)                               \
                                                              : 1.0f / (float)(rows_ * columns),                       \
                                         .low = is_float              ? -0.5f                                          \
                                                : strstr(#name, "u8") ? 3                                              \
                                                                      : -101,                                          \
                                         .high = is_float ? 0.75f : 120};                                              \
        struct block x = is_float ? block_copy(reals.base, reals.size)                                                 \
                                  : block_copy(numbers.base, pixels * channels * size_of(#name));                      \
        EACH_ROW(#name, is_float ? FLOATS : INTEGERS, channels, is_float ? 4 : size_of(#name),                         \
                 row->name(&w, x.base, y));                                                                            \
        block_free(&x);                                                                                                \
    }
    EO_POOLS(ROW)
#undef ROW
    block_free(&numbers), block_free(&reals);
}

void test_elementwise(void) {
    static const size_t large[] = {63, 64, 65, 257};
    rows = eo_elementwise_rows(&row_count);
    for (size_t i = 0; i <= 50 + sizeof large / sizeof *large; i++) {
        const size_t n = i <= 50 ? i : large[i - 51];
        unary(n), float_binary(n), integer_binary(n), conversions(n), reductions(n);
        if (n > 0) pool(1, 1, n), pool(2, 3, n), pool(5, 7, n);
    }
    for (int i = 0; i + 1 < row_count; i++)
        if (kernels_isa_available(rows[i]->isa)) {
            char name[64] = "eo_elementwise__";
            compared(strcat(name, names[rows[i]->isa]));
        }
}
