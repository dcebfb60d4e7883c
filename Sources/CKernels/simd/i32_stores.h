// Stores of a part of a vector, for instruction sets without masks. Include at the end of a vocabulary.
#ifndef EDGEOPT_SIMD_I32_STORES_H
#define EDGEOPT_SIMD_I32_STORES_H

#include <string.h>

// The first `count` bytes of part `k` of `parts`.
SIMD void bytes_store(void *p, ivec x, const int parts, const int k, size_t count) {
    const size_t size = sizeof x / (size_t)parts;
    if (count >= size) {
        __builtin_memcpy(p, (const char *)&x + (size_t)k * size, size);
    } else {
        const ivec copy = x; // x itself stays in a register above
        memcpy(p, (const char *)&copy + (size_t)k * size, count);
    }
}

#endif
