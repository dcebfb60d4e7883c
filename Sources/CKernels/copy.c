#include "copy.h"

#include <string.h>

// Memory is copied by calls of the C library fast only where there is much of it.
enum { BLOCK = 64 };

void eo_copy_rows(size_t count, size_t size, const void *from, ptrdiff_t from_stride, void *to, ptrdiff_t to_stride) {
    const char *source = from;
    char *target = to;
    for (; count > 0; count--, source += from_stride, target += to_stride) {
        if (size < BLOCK || size > 32 * BLOCK) {
            memcpy(target, source, size);
            continue;
        }
        for (size_t at = 0; at + BLOCK <= size; at += BLOCK) memcpy(target + at, source + at, BLOCK);
        memcpy(target + size - BLOCK, source + size - BLOCK, BLOCK);
    }
}
