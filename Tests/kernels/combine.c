// The loops of combine.h for each instruction set against those for every processor, and the forms with one number
// against the one where it is written out.
#include "runs.h"

static const enum eo_number types[] = {EO_U8, EO_S16, EO_S32, EO_S64, EO_F32};
static const size_t sizes[] = {1, 2, 4, 8, 4};

static bool exists(enum eo_function function, enum eo_number type) {
    if (type == EO_U8) return function == EO_EQUAL || function == EO_BOTH;
    if (type == EO_F32) return function <= EO_LESS_EQUAL;
    return function != EO_LESS_EQUAL && function != EO_BOTH;
}

// Few different bytes, so that numbers are often equal.
static struct block numbers(size_t count, enum eo_number type, size_t size) {
    struct block block = block_of(count * size);
    for (size_t i = 0; i < block.size; i++)
        ((uint8_t *)block.base)[i] = i % size ? (uint8_t)often(0, 255) : (uint8_t)number(0, 3);
    for (size_t i = 0; type == EO_F32 && i < count; i++)
        ((float *)block.base)[i] = number(0, 9) == 0 ? __builtin_nanf("") : (float)number(-3, 3);
    return block;
}

static struct block same(size_t count, const void *number, size_t size) {
    struct block block = block_of(count * size);
    for (size_t i = 0; i < count; i++) memcpy((char *)block.base + i * size, number, size);
    return block;
}

static void loops(const struct eo_combination *c, size_t n, const struct block *a, const struct block *b, size_t size) {
    struct block expected = block_of(n * size);
    eo_combine__scalar(c, c->function, n, a->base, b->base, expected.base);
    digest(expected.base, expected.size);
#if defined(__x86_64__)
    if (kernels_isa_available(ISA_AVX2)) {
        struct block found = block_of(n * size);
        eo_combine__avx2(c, c->function, n, a->base, b->base, found.base);
        check(memcmp(found.base, expected.base, expected.size) == 0, "avx2", "combine %d of type %d, %zu", c->function,
              c->type, n);
        block_free(&found);
    }
#endif
    block_free(&expected);
}

static void forms(const struct eo_combination *c, size_t n, const struct block *a, const struct block *b, size_t size,
                  size_t result) {
    struct block all = same(n, b->base,
                            c->tables   ? 1
                            : c->scales ? 2
                                        : size),
                 expected = block_of(n * result), found = block_of(n * result);
    eo_combine.vv(n, a->base, all.base, expected.base, c);
    eo_combine.vs(n, a->base, b->base, found.base, c);
    check(memcmp(found.base, expected.base, expected.size) == 0, "combine", "%d of type %d, vector and scalar, %zu",
          c->function, c->type, n);
    eo_combine.vv(n, all.base, a->base, expected.base, c);
    eo_combine.sv(n, b->base, a->base, found.base, c);
    check(memcmp(found.base, expected.base, expected.size) == 0, "combine", "%d of type %d, scalar and vector, %zu",
          c->function, c->type, n);
    if (result == size) {
        eo_combine.vv(n, a->base, all.base, expected.base, c);
        eo_combine.vv(n, a->base, all.base, a->base, c);
        check(memcmp(a->base, expected.base, expected.size) == 0, "combine", "%d of type %d in place, %zu", c->function,
              c->type, n);
    }
    block_free(&all), block_free(&expected), block_free(&found);
}

static void one(enum eo_function function, enum eo_number type, size_t size, size_t n) {
    struct eo_combination c = {.function = function, .type = type, .low = 1, .high = 0};
    c.exchanges = number(0, 1), c.inverts = number(0, 1);
    const bool whole = function >= EO_ADD;
    c.squares = whole && number(0, 3) == 0;
    if (whole && number(0, 1)) c.low = -3, c.high = 100;
    struct block a = numbers(n, type, size), b = numbers(n, type, size);
    loops(&c, n, &a, &b, whole ? size : 1);
    forms(&c, n, &a, &b, size, whole ? size : 1);
    if (type == EO_S32 && !whole) {
        struct block values = numbers(512, type, size);
        c.tables = values.base;
        struct block bytes_ = bytes(n, 0, 255);
        forms(&c, n, &bytes_, &b, size, 1);
        const struct eo_common_scale scales_[] = {{3, 1 << 30, -number(0, 20)},
                                                  {-700, (1 << 30) + 12345, number(0, 9)}};
        c.tables = NULL, c.scales = scales_;
        struct block words = numbers(n, EO_S16, 2);
        forms(&c, n, &words, &b, size, 1);
        block_free(&values), block_free(&bytes_), block_free(&words);
    }
    block_free(&a), block_free(&b);
}

static void choices(enum eo_number type, size_t size, size_t n) {
    struct block a = numbers(n, type, size), b = numbers(n, type, size), condition = numbers(n, EO_U8, 1);
    for (size_t i = 0; i < n; i++) ((uint8_t *)condition.base)[i] *= number(0, 1);
    struct block expected = block_of(n * size), found = block_of(n * size);
    for (int form = 0; form < 4; form++) {
        const size_t step_a = form & 1, step_b = form >> 1;
        for (size_t i = 0; i < n; i++)
            memcpy((char *)expected.base + i * size,
                   ((uint8_t *)condition.base)[i] ? (char *)a.base + i * step_a * size
                                                  : (char *)b.base + i * step_b * size,
                   size);
        eo_choose(type, n, condition.base, a.base, step_a, b.base, step_b, found.base);
        check(memcmp(found.base, expected.base, expected.size) == 0, "choose", "type %d, form %d, %zu", type, form, n);
    }
    block_free(&a), block_free(&b), block_free(&condition), block_free(&expected), block_free(&found);
}

static void casts(size_t n) {
    static const struct {
        enum eo_function function;
        enum eo_number type;
        size_t from, to;
    } all[] = {
        {EO_TO_BOOL, EO_F32, 4, 1}, {EO_TO_U8, EO_F32, 4, 1},  {EO_TO_S32, EO_F32, 4, 4},
        {EO_TO_S64, EO_F32, 4, 8},  {EO_TO_S32, EO_S64, 8, 4}, {EO_TO_S64, EO_S32, 4, 8},
        {EO_TO_F32, EO_U8, 1, 4},   {EO_TO_F32, EO_S32, 4, 4}, {EO_TO_F32, EO_S64, 8, 4},
    };
    static const float ends[] = {0x1p31f, -0x1p31f, 0x1p63f, -0x1p63f, 255, 255.9f, -0.9f, INFINITY, -INFINITY};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        struct block x = all[k].type == EO_F32 ? any_floats(n) : bytes(n * all[k].from, 0, 255);
        for (size_t i = 3; all[k].type == EO_F32 && i < n; i += 5)
            ((float *)x.base)[i] = ends[i / 5 % (sizeof ends / sizeof *ends)];
        const struct eo_combination c = {.function = all[k].function, .type = all[k].type};
        struct block expected = block_of(n * all[k].to), found = block_of(n * all[k].to);
        eo_combine__scalar(&c, c.function, n, x.base, x.base, expected.base);
        digest(expected.base, expected.size);
        eo_convert(n, x.base, found.base, &c);
        check(memcmp(found.base, expected.base, expected.size) == 0, "convert", "%d of type %d, %zu", c.function,
              c.type, n);
        block_free(&x), block_free(&expected), block_free(&found);
    }
}

void test_combine(void) {
    for (size_t n = 1; n < 3000; n += n < 70 ? 1 : 991) {
        casts(n);
        for (size_t t = 0; types[t] != EO_F32; t++) choices(types[t], sizes[t], n);
    }
    for (int function = EO_EQUAL; function <= EO_MAXIMUM; function++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t n = 1; n < 3000 && exists((enum eo_function)function, types[t]); n += n < 70 ? 1 : 991)
                one((enum eo_function)function, types[t], sizes[t], n);
#if defined(__x86_64__)
    if (kernels_isa_available(ISA_AVX2)) compared("eo_combine", "avx2");
#endif
}
