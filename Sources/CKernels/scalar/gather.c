#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_gather, EO_GATHER_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_wide, EO_GATHER_WIDE_ROWS)

#define SIMD static inline

SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#include "../simd/gather.h"

void eo_gather__scalar(const struct eo_gather *gather) { gather_rows(0, gather); }

void eo_gather_wide__scalar(const struct eo_gather *gather) { gather_rows(1, gather); }
