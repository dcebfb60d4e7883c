#include "copy.h"

#include "isa.h"

#include <string.h>

// Memory is copied by calls of the C library fast only where there is much of it.
enum { BLOCK = 64 };

#define ROWS_OF_BLOCKS                                                                                                 \
    for (; count > 0; count--, from += from_stride, to += to_stride) {                                                 \
        _Pragma("clang loop unroll(disable)") for (size_t at = 0; at + BLOCK < size; at += BLOCK)                      \
            memcpy(to + at, from + at, BLOCK);                                                                         \
        memcpy(to + size - BLOCK, from + size - BLOCK, BLOCK);                                                         \
    }

#if defined(__x86_64__)
static __attribute__((target("avx512f"))) void copy_wide(size_t count, size_t size, const char *from,
                                                         ptrdiff_t from_stride, char *to, ptrdiff_t to_stride) {
    ROWS_OF_BLOCKS
}
#endif

static void copy_blocks(size_t count, size_t size, const char *from, ptrdiff_t from_stride, char *to,
                        ptrdiff_t to_stride) {
    ROWS_OF_BLOCKS
}

void eo_copy_rows(size_t count, size_t size, const void *from, ptrdiff_t from_stride, void *to, ptrdiff_t to_stride) {
    if (size >= BLOCK && size <= 32 * BLOCK) {
#if defined(__x86_64__)
        if (kernels_isa_available(ISA_AVX512)) return copy_wide(count, size, from, from_stride, to, to_stride);
#endif
        return copy_blocks(count, size, from, from_stride, to, to_stride);
    }
    const char *source = from;
    char *target = to;
    for (; count > 0; count--, source += from_stride, target += to_stride) memcpy(target, source, size);
}

#define PLACES(bytes)                                                                                                  \
    case bytes:                                                                                                        \
        _Pragma("clang loop unroll_count(4)") for (size_t i = 0; i < count; i++)                                       \
            memcpy(target + i * bytes, source + places[i] * bytes, bytes);                                             \
        return;

void eo_copy_places(size_t count, size_t size, const void *from, const int64_t *places, void *to) {
    const char *source = from;
    char *target = to;
    switch (size) {
        PLACES(1)
        PLACES(2)
        PLACES(4)
        PLACES(8)
    }
    for (size_t i = 0; i < count; i++) memcpy(target + i * size, source + places[i] * (ptrdiff_t)size, size);
}

// As often as a word holds it.
static inline uint64_t word_of(size_t size, const void *pattern) {
    const unsigned char *bytes = pattern;
    uint64_t word = bytes[0];
    for (size_t i = 1; i < size; i++) word |= (uint64_t)bytes[i] << 8 * i;
    for (; size < sizeof word; size *= 2) word |= word << 8 * size;
    return word;
}

void eo_fill(size_t bytes, size_t size, const void *pattern, void *to) {
    char *at = to;
    if (size == 0 || bytes < size) return;
    if (size > 8 || (size & (size - 1)) != 0) {
        // By doubling: long fills run at the speed of memcpy.
        memmove(at, pattern, size);
        for (size_t done = size; done < bytes; done *= 2)
            memcpy(at + done, at, done < bytes - done ? done : bytes - done);
        return;
    }
    const uint64_t word = word_of(size, pattern);
    if (bytes < sizeof word) {
        memcpy(at, &word, bytes);
        return;
    }
    // The last word may begin before the one in front of it ends: the pattern divides the distance.
    char *const last = at + bytes - sizeof word;
    for (; at < last; at += sizeof word) memcpy(at, &word, sizeof word);
    memcpy(last, &word, sizeof word);
}

void eo_spread(size_t count, size_t length, size_t size, const void *elements, void *to) {
    const char *element = elements;
    char *row = to;
    for (; count > 0; count--, element += size, row += length * size) eo_fill(length * size, size, element, row);
}
