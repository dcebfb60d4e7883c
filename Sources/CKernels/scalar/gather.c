#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_gather, EO_GATHER_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_wide, EO_GATHER_WIDE_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_split, EO_GATHER_SPLIT_ROWS)

// Twins of the others, so small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#define SIMD static inline

SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#define BYTES_SPLIT
SIMD void bytes_split(uint8_t *upper, uint8_t *lower, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t word;
        memcpy(&word, from + 2 * i, sizeof word);
        upper[i] = (uint8_t)(word >> 8);
        lower[i] = (uint8_t)word;
    }
}

#include "../simd/gather.h"

void eo_gather__scalar(const struct eo_gather *gather) { gather_rows(PLAIN, gather); }

void eo_gather_wide__scalar(const struct eo_gather *gather) { gather_rows(WIDE, gather); }

void eo_gather_split__scalar(const struct eo_gather *gather) { gather_rows(SPLIT, gather); }
#pragma clang attribute pop
