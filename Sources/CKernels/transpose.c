#include "copy.h"

#include "isa.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define VECTORS __attribute__((target("avx2")))
#else
#define VECTORS
#endif

// 8 x 8 elements by three perfect shuffles of 64: each moves the bits of an element's place, row and column, on by one.
typedef void block_function(const char *from, ptrdiff_t from_stride, char *to, ptrdiff_t to_stride);
#define JOINED_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define JOINED_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define BLOCK(name, type)                                                                                              \
    typedef type name##_row __attribute__((ext_vector_type(8)));                                                       \
    static VECTORS void name(const char *from, ptrdiff_t from_stride, char *to, ptrdiff_t to_stride) {                 \
        name##_row v[8], shuffled[8];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++)                                                 \
            memcpy(&v[i], from + i * from_stride, sizeof v[i]);                                                        \
        _Pragma("clang loop unroll(full)") for (int shuffle = 0; shuffle < 3; shuffle++) {                             \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {                                           \
                shuffled[2 * i] = JOINED_LOW(v[i], v[i + 4]);                                                          \
                shuffled[2 * i + 1] = JOINED_HIGH(v[i], v[i + 4]);                                                     \
            }                                                                                                          \
            memcpy(v, shuffled, sizeof v);                                                                             \
        }                                                                                                              \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++) memcpy(to + i * to_stride, &v[i], sizeof v[i]); \
    }
BLOCK(bytes, uint8_t)
BLOCK(words, uint16_t)
BLOCK(doublewords, uint32_t)

// Two lines, `apart` bytes from one to the other, become one of pairs, or pairs two lines, eight of each at a time.
// Returns how many of `count`.
typedef size_t pairs_function(size_t count, const char *from, char *to, ptrdiff_t apart);
#define PAIRS(name)                                                                                                    \
    static VECTORS size_t join_##name(size_t count, const char *from, char *to, ptrdiff_t apart) {                     \
        size_t done = 0;                                                                                               \
        for (name##_row v[2], pairs[2]; done + 8 <= count; done += 8, from += sizeof *v, to += sizeof pairs) {         \
            memcpy(&v[0], from, sizeof *v), memcpy(&v[1], from + apart, sizeof *v);                                    \
            pairs[0] = JOINED_LOW(v[0], v[1]), pairs[1] = JOINED_HIGH(v[0], v[1]);                                     \
            memcpy(to, pairs, sizeof pairs);                                                                           \
        }                                                                                                              \
        return done;                                                                                                   \
    }                                                                                                                  \
    static VECTORS size_t part_##name(size_t count, const char *from, char *to, ptrdiff_t apart) {                     \
        size_t done = 0;                                                                                               \
        for (name##_row v[2], pairs[2]; done + 8 <= count; done += 8, from += sizeof pairs, to += sizeof *v) {         \
            memcpy(pairs, from, sizeof pairs);                                                                         \
            v[0] = __builtin_shufflevector(pairs[0], pairs[1], 0, 2, 4, 6, 8, 10, 12, 14);                             \
            v[1] = __builtin_shufflevector(pairs[0], pairs[1], 1, 3, 5, 7, 9, 11, 13, 15);                             \
            memcpy(to, &v[0], sizeof *v), memcpy(to + apart, &v[1], sizeof *v);                                        \
        }                                                                                                              \
        return done;                                                                                                   \
    }
PAIRS(bytes)
PAIRS(words)
PAIRS(doublewords)

// What there are vectors for.
struct vectors {
    block_function *block;
    pairs_function *join, *part;
};
static const struct vectors *vectors_of(size_t size) {
    static const struct vectors all[] = {{bytes, join_bytes, part_bytes},
                                         {words, join_words, part_words},
                                         {doublewords, join_doublewords, part_doublewords}};
    if (!kernels_isa_available(ISA_AVX2) && !kernels_isa_available(ISA_NEON)) return NULL;
    return size == 1 ? &all[0] : size == 2 ? &all[1] : size == 4 ? &all[2] : NULL;
}

// `lines` lines of `count` elements; steps from element to element, strides from line to line.
static void elements(size_t size, size_t lines, size_t count, const char *from, ptrdiff_t from_step,
                     ptrdiff_t from_stride, char *to, ptrdiff_t to_step, ptrdiff_t to_stride) {
#define EACH_ELEMENT(size)                                                                                             \
    case size:                                                                                                         \
        for (; lines > 0; lines--, from += from_stride, to += to_stride)                                               \
            _Pragma("clang loop unroll_count(4) vectorize(disable)") for (size_t i = 0; i < count; i++)                \
                memcpy(to + (ptrdiff_t)i * to_step, from + (ptrdiff_t)i * from_step, size);                            \
        return;
    switch (size) {
        EACH_ELEMENT(1)
        EACH_ELEMENT(2)
        EACH_ELEMENT(4)
        EACH_ELEMENT(8)
        EACH_ELEMENT(16)
    }
#undef EACH_ELEMENT
}

static void narrow(size_t size, size_t rows, size_t columns, const char *from, ptrdiff_t from_stride, char *to,
                   ptrdiff_t to_stride) {
    const struct vectors *vectors = vectors_of(size);
    const ptrdiff_t step = (ptrdiff_t)size;
    if (vectors && rows == 2 && to_stride == 2 * step) {
        const size_t done = vectors->join(columns, from, to, from_stride);
        columns -= done, from += done * size, to += done * 2 * size;
    } else if (vectors && columns == 2 && from_stride == 2 * step) {
        const size_t done = vectors->part(rows, from, to, to_stride);
        rows -= done, from += done * 2 * size, to += done * size;
    }
    // The longer side is the inner loop.
    if (rows < columns)
        elements(size, rows, columns, from, step, from_stride, to, to_stride, step);
    else
        elements(size, columns, rows, from, from_stride, step, to, step, to_stride);
}

// Stripes of so many columns keep the lines of both sides in the first-level cache.
enum { STRIPE = 16 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void eo_transpose(size_t size, size_t rows, size_t columns, const void *from, ptrdiff_t from_stride, void *to,
                  ptrdiff_t to_stride) {
    const struct vectors *vectors = vectors_of(size);
    if (rows < 8 || columns < 8) return narrow(size, rows, columns, from, from_stride, to, to_stride);
    for (size_t stripe = 0; stripe < columns; stripe += STRIPE)
        for (size_t i = 0; i < rows; i += 8)
            for (size_t j = stripe; j < smaller(columns, stripe + STRIPE); j += 8) {
                const size_t height = smaller(8, rows - i), width = smaller(8, columns - j);
                const char *source = (const char *)from + (ptrdiff_t)i * from_stride + j * size;
                char *target = (char *)to + (ptrdiff_t)j * to_stride + i * size;
                if (vectors && height == 8 && width == 8)
                    vectors->block(source, from_stride, target, to_stride);
                else
                    narrow(size, height, width, source, from_stride, target, to_stride);
            }
}
