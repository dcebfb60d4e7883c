// What comes before the products: gathering of rows, transposition, and the quantization of rows while the model runs.
#include "check.h"

enum form { PLAIN, WIDE, MAGNITUDES, SPLIT };

// Runs one kernel on some pixels of a window; what is behind the fill of each row does not matter.
static struct block gather(eo_gather_function *kernel, enum form form, const struct eo_window *w, const void *input,
                           size_t element, size_t first, size_t pixels) {
    const size_t depth = w->kernel_height * w->kernel_width * w->input_channels * element;
    const size_t fill = form == MAGNITUDES ? (4 - depth % 4) % 4 : 3 * element;
    const size_t parts = form == SPLIT ? 2 : 1, width = form == WIDE || form == MAGNITUDES ? 2 : 1;
    const size_t size = (depth + fill) * width + (form == MAGNITUDES ? sizeof(int32_t) : 0);
    const size_t stride = (size + 64) / 64 * 64;
    struct block rows = block_of(pixels * stride);
    const struct eo_gather gather = {.window = w,
                                     .input = input,
                                     .first = first,
                                     .pixels = pixels,
                                     .element_size = element,
                                     .rows = rows.base,
                                     .row_stride = stride,
                                     .fill = fill,
                                     .padding = 0x7c,
                                     .flip = element == 1 ? 0x80 : 0};
    kernel(&gather);
    const size_t part = stride / parts, kept = size / parts;
    for (size_t i = 0; i < pixels * parts; i++) memset((char *)rows.base + i * part + kept, 0, part - kept);
    return rows;
}

#define GATHER_CASE(family, form)                                                                                      \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *table = family##_rows(&count), *twin = table + count - 1;                               \
        struct block expected = gather(twin->run, form, w, input.base, element, first, pixels);                        \
        for (const family##_kernel *kernel = table; kernel < twin; kernel++) {                                         \
            if (!kernels_isa_available(kernel->isa)) continue;                                                         \
            struct block found = gather(kernel->run, form, w, input.base, element, first, pixels);                     \
            check(memcmp(found.base, expected.base, found.size) == 0, kernel->name,                                    \
                  "window %zu, %zu channels of %zu bytes, pixels %zu to %zu", number_of_window, w->input_channels,     \
                  element, first, first + pixels);                                                                     \
            block_free(&found);                                                                                        \
        }                                                                                                              \
        digest(expected.base, expected.size);                                                                          \
        block_free(&expected);                                                                                         \
    } while (0)

static void gather_case(const struct eo_window *w, size_t number_of_window, size_t element) {
    const size_t all = w->batch * w->output_height * w->output_width;
    struct block input =
        bytes(w->batch * w->input_height * w->input_width * w->input_channels * w->groups * element, 0, 255);
    for (size_t first = 0; first < all; first += 5)
        for (size_t pixels = 1; pixels <= 7 && first + pixels <= all; pixels += 3) {
            GATHER_CASE(eo_gather, PLAIN);
            if (element == 1) GATHER_CASE(eo_gather_wide, WIDE);
            if (element == 1) GATHER_CASE(eo_gather_magnitudes, MAGNITUDES);
            if (element == 2) GATHER_CASE(eo_gather_split, SPLIT);
        }
    block_free(&input);
}

static void test_gathering(void) {
    static const struct eo_window windows[] = {
        {.batch = 2,
         .input_height = 5,
         .input_width = 6,
         .output_height = 5,
         .output_width = 6,
         .kernel_height = 3,
         .kernel_width = 3,
         .stride_height = 1,
         .stride_width = 1,
         .dilation_height = 1,
         .dilation_width = 1,
         .padding_top = 1,
         .padding_left = 1,
         .groups = 1},
        {.batch = 1,
         .input_height = 7,
         .input_width = 9,
         .output_height = 4,
         .output_width = 5,
         .kernel_height = 5,
         .kernel_width = 3,
         .stride_height = 2,
         .stride_width = 2,
         .dilation_height = 1,
         .dilation_width = 1,
         .padding_top = 2,
         .padding_left = 1,
         .groups = 2},
        {.batch = 1,
         .input_height = 8,
         .input_width = 8,
         .output_height = 6,
         .output_width = 6,
         .kernel_height = 2,
         .kernel_width = 2,
         .stride_height = 1,
         .stride_width = 1,
         .dilation_height = 2,
         .dilation_width = 3,
         .padding_top = 0,
         .padding_left = 1,
         .groups = 1},
        {.batch = 2,
         .input_height = 4,
         .input_width = 4,
         .output_height = 4,
         .output_width = 4,
         .kernel_height = 1,
         .kernel_width = 1,
         .stride_height = 1,
         .stride_width = 1,
         .dilation_height = 1,
         .dilation_width = 1,
         .groups = 1},
    };
    static const size_t channels[] = {1, 2, 3, 4, 5, 7, 8, 11, 15, 16, 17, 21, 31, 32, 33, 63, 64, 65, 100};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
            for (size_t element = 1; element <= 4; element *= 2) {
                struct eo_window w = windows[i];
                w.input_channels = w.output_channels = channels[c];
                gather_case(&w, i, element);
            }
}

static void range_case(size_t count) {
    struct block x = block_of(count * sizeof(float)), q = block_of(count), expected = block_of(count);
    // Multiples of 1/8, so that ties happen.
    for (size_t i = 0; i < count; i++) ((float *)x.base)[i] = (float)number(-1100, 1100) / 8;
    const struct eo_grid grid = {1, -3, -127};
    int rows, quantizers;
    const eo_f32_range_kernel *range = eo_f32_range_rows(&rows);
    const eo_f32_to_u8_kernel *quantizer = eo_f32_to_u8_rows(&quantizers);
    const struct eo_range right = range[rows - 1].run(x.base, count);
    for (int i = 0; i + 1 < rows; i++) {
        if (!kernels_isa_available(range[i].isa)) continue;
        const struct eo_range found = range[i].run(x.base, count);
        check(found.low == right.low && found.high == right.high && found.check == 0, range[i].name, "of %zu", count);
        if (count == 0) continue;
        const float before = *(float *)x.base;
        *(float *)x.base = count % 2 ? __builtin_nanf("") : __builtin_inff();
        const float bad = range[i].run(x.base, count).check;
        check(bad != bad, range[i].name, "a number that is not finite, of %zu", count);
        *(float *)x.base = before;
    }
    quantizer[quantizers - 1].run(&grid, x.base, expected.base, count);
    digest(expected.base, count);
    for (int i = 0; i + 1 < quantizers; i++) {
        if (!kernels_isa_available(quantizer[i].isa)) continue;
        const float none = quantizer[i].run(&grid, x.base, q.base, count);
        check(none == 0 && memcmp(q.base, expected.base, count) == 0, quantizer[i].name, "of %zu", count);
        if (count == 0) continue;
        const float before = *(float *)x.base;
        *(float *)x.base = count % 2 ? __builtin_nanf("") : __builtin_inff();
        const float bad = quantizer[i].run(&grid, x.base, q.base, count);
        check(bad != bad, quantizer[i].name, "a number that is not finite, of %zu", count);
        *(float *)x.base = before;
    }
    block_free(&x), block_free(&q), block_free(&expected);
}

// Fused, a * b + c would give another number here: the twins must not fuse either.
static void test_fusing(void) {
    const struct eo_grid grid = {1 + 0x1p-13f, -1, -127};
    const float x = 1.5f - 1.5f * 0x1p-13f; // times the inverse: 1.5 less 1.5 * 2^-26, which rounding takes away
    uint8_t q;
    int count;
    const eo_f32_to_u8_kernel *table = eo_f32_to_u8_rows(&count);
    for (int i = 0; i < count; i++) {
        if (!kernels_isa_available(table[i].isa)) continue;
        table[i].run(&grid, &x, &q, 1);
        check(q == 129, table[i].name, "fuses");
    }
}

#define EACH_NAME(family)                                                                                              \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *table = family##_rows(&count);                                                          \
        for (int i = 0; i + 1 < count; i++)                                                                            \
            if (kernels_isa_available(table[i].isa)) compared(table[i].name, NULL);                                    \
    } while (0)

// Rows end where memory ends.
static void transpose_case(size_t size, size_t rows, size_t columns, size_t from_gap, size_t to_gap) {
    const size_t from_stride = (columns + from_gap) * size, to_stride = (rows + to_gap) * size;
    struct block from = bytes(rows * from_stride - from_gap * size, 0, 255);
    struct block to = block_of(columns * to_stride - to_gap * size);
    eo_transpose(size, rows, columns, from.base, (ptrdiff_t)from_stride, to.base, (ptrdiff_t)to_stride);
    bool right = true;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            right &= memcmp((char *)to.base + j * to_stride + i * size, (char *)from.base + i * from_stride + j * size,
                            size) == 0;
    for (size_t j = 0; j + 1 < columns; j++)
        for (size_t k = 0; k < to_gap * size; k++)
            right &= ((uint8_t *)to.base)[j * to_stride + rows * size + k] == 0xa5;
    check(right, "eo_transpose", "%zu rows of %zu elements of %zu bytes", rows, columns, size);
    digest(to.base, to.size);
    block_free(&from), block_free(&to);
}

static void test_transposition(void) {
    for (size_t size = 1; size <= 16; size *= 2)
        for (size_t rows = 1; rows <= 34; rows += rows < 10 ? 1 : 6)
            for (size_t columns = 1; columns <= 34; columns += columns < 10 ? 1 : 6) {
                transpose_case(size, rows, columns, 3, 1);
                transpose_case(size, rows, columns, 0, 0);
            }
    compared("eo_transpose", NULL);
}

// Memory ends behind the last element.
static void repetition_case(size_t size, size_t count, size_t length) {
    struct block from = bytes(count * size, 0, 255);
    struct block rows = block_of(count * length * size), pattern = block_of(rows.size);
    bool right = true;
    if (size <= 8) {
        eo_spread(count, length, size, from.base, rows.base);
        for (size_t i = 0; i < count * length; i++)
            right &= memcmp((char *)rows.base + i * size, (char *)from.base + i / length * size, size) == 0;
        check(right, "eo_spread", "%zu elements of %zu bytes, %zu times", count, size, length);
    }
    eo_fill(pattern.size, count * size, from.base, pattern.base);
    for (size_t i = 0; i < pattern.size; i++)
        right &= ((uint8_t *)pattern.base)[i] == ((uint8_t *)from.base)[i % (count * size)];
    check(right, "eo_fill", "with %zu bytes, %zu times", count * size, length);
    digest(rows.base, rows.size), digest(pattern.base, pattern.size);
    block_free(&from), block_free(&rows), block_free(&pattern);
}

static void test_repetition(void) {
    for (size_t size = 1; size <= 16; size *= 2)
        for (size_t count = 1; count <= 4; count++)
            for (size_t length = 1; length <= 40; length++) repetition_case(size, count, length);
    compared("eo_spread, eo_fill", NULL);
}

void test_rows(void) {
    test_gathering();
    test_transposition();
    test_repetition();
    test_fusing();
    for (size_t count = 0; count <= 70; count++) range_case(count);
    EACH_NAME(eo_gather);
    EACH_NAME(eo_gather_wide);
    EACH_NAME(eo_gather_magnitudes);
    EACH_NAME(eo_gather_split);
    EACH_NAME(eo_f32_range);
    EACH_NAME(eo_f32_to_u8);
}
