// What the tests of tables of many functions need, each of which computes a run of elements: `rows` and `row_count` are
// the table's. Results must have the bits of the last row's.
#ifndef RUNS_H
#define RUNS_H

#include "check.h"

#include <math.h>

static const char *const isa_names[ISA_COUNT] = {
    [ISA_SCALAR] = "scalar", [ISA_AVX2] = "avx2", [ISA_AVX512] = "avx512", [ISA_NEON] = "neon"};

// Values of all sizes and signs, infinities and NaN among them.
static inline float any(void) {
    static const float special[] = {0,      -0.0f,   INFINITY, -INFINITY, NAN, 88.8f,
                                    -88.8f, -103.9f, 0.625f,   0x1p-140f, 6e4f};
    return number(0, 12) == 7 ? special[number(0, 10)] : real() * (float)(1 << number(0, 7));
}

static inline struct block any_floats(size_t count) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = any();
    return block;
}

// Every NaN the same.
static inline void settle(struct block *block) {
    for (size_t i = 0; i < block->size / sizeof(float); i++) {
        float *x = (float *)block->base + i;
        if (*x != *x) memset(x, 0x7f, sizeof *x);
    }
}

enum { MAX_TABLES = 8 };

enum kind {
    FLOATS,
    INTEGERS,
    LIBRARY
}; // LIBRARY: floats that the C library computes, which may differ between machines

static inline void agree(const char *name, enum kind kind, struct block *outputs, const enum kernels_isa *isa,
                         int row_count, size_t length) {
    for (int i = 0; i < row_count; i++) {
        if (!outputs[i].base) continue;
        if (kind != INTEGERS) settle(outputs + i);
    }
    const struct block *expected = outputs + row_count - 1;
    for (int i = 0; i < row_count; i++) {
        if (!outputs[i].base) continue;
        check(memcmp(outputs[i].base, expected->base, expected->size) == 0, isa_names[isa[i]], "%s of %zu", name,
              length);
    }
    if (kind != LIBRARY) digest(expected->base, expected->size);
    for (int i = 0; i < row_count; i++)
        if (outputs[i].base) block_free(outputs + i);
}

// What each row's kernel makes of `length` elements, as `call` with `row` and `y` says.
#define EACH_ROW(name, kind, length, size, call)                                                                       \
    do {                                                                                                               \
        enum kernels_isa isa[MAX_TABLES];                                                                              \
        struct block outputs[MAX_TABLES] = {{NULL, 0}};                                                                \
        for (int i = 0; i < row_count; i++) {                                                                          \
            __typeof__(rows[0]) row = rows[i];                                                                         \
            isa[i] = row->isa;                                                                                         \
            if (!kernels_isa_available(row->isa)) continue;                                                            \
            outputs[i] = block_of((length) * (size));                                                                  \
            void *y = outputs[i].base;                                                                                 \
            call;                                                                                                      \
        }                                                                                                              \
        agree(name, kind, outputs, isa, row_count, length);                                                            \
    } while (0)

#define EACH_TABLE(name)                                                                                               \
    for (int i = 0; i + 1 < row_count; i++)                                                                            \
        if (kernels_isa_available(rows[i]->isa)) compared(name, isa_names[rows[i]->isa])

#endif
