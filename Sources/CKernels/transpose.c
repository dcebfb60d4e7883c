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
#define BLOCK(name, type)                                                                                              \
    typedef type name##_row __attribute__((ext_vector_type(8)));                                                       \
    static VECTORS void name(const char *from, ptrdiff_t from_stride, char *to, ptrdiff_t to_stride) {                 \
        name##_row v[8], shuffled[8];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++)                                                 \
            memcpy(&v[i], from + i * from_stride, sizeof v[i]);                                                        \
        _Pragma("clang loop unroll(full)") for (int shuffle = 0; shuffle < 3; shuffle++) {                             \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {                                           \
                shuffled[2 * i] = __builtin_shufflevector(v[i], v[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);                   \
                shuffled[2 * i + 1] = __builtin_shufflevector(v[i], v[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);             \
            }                                                                                                          \
            memcpy(v, shuffled, sizeof v);                                                                             \
        }                                                                                                              \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++) memcpy(to + i * to_stride, &v[i], sizeof v[i]); \
    }
BLOCK(bytes, uint8_t)
BLOCK(words, uint16_t)
BLOCK(doublewords, uint32_t)

static block_function *block_of(size_t size) {
    if (!kernels_isa_available(ISA_AVX2) && !kernels_isa_available(ISA_NEON)) return NULL;
    return size == 1 ? bytes : size == 2 ? words : size == 4 ? doublewords : NULL;
}

// What is no whole block.
static void elements(size_t size, size_t rows, size_t columns, const char *from, ptrdiff_t from_stride, char *to,
                     ptrdiff_t to_stride) {
#define EACH_ELEMENT(size)                                                                                             \
    case size:                                                                                                         \
        for (size_t i = 0; i < rows; i++, from += from_stride, to += size)                                             \
            _Pragma("clang loop unroll(disable) vectorize(disable)") for (size_t j = 0; j < columns; j++)              \
                memcpy(to + (ptrdiff_t)j * to_stride, from + j * size, size);                                          \
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

// Stripes of so many columns keep the lines of both sides in the first-level cache.
enum { STRIPE = 16 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void eo_transpose(size_t size, size_t rows, size_t columns, const void *from, ptrdiff_t from_stride, void *to,
                  ptrdiff_t to_stride) {
    block_function *const block = block_of(size);
    for (size_t stripe = 0; stripe < columns; stripe += STRIPE)
        for (size_t i = 0; i < rows; i += 8)
            for (size_t j = stripe; j < smaller(columns, stripe + STRIPE); j += 8) {
                const size_t height = smaller(8, rows - i), width = smaller(8, columns - j);
                const char *source = (const char *)from + (ptrdiff_t)i * from_stride + j * size;
                char *target = (char *)to + (ptrdiff_t)j * to_stride + i * size;
                if (block && height == 8 && width == 8)
                    block(source, from_stride, target, to_stride);
                else
                    elements(size, height, width, source, from_stride, target, to_stride);
            }
}
