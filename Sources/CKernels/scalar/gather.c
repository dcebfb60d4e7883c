#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_gather, EO_GATHER_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_wide, EO_GATHER_WIDE_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_magnitudes, EO_GATHER_MAGNITUDES_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_split, EO_GATHER_SPLIT_ROWS)

// Twins of the others, so small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#define SIMD static inline

SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

#define BYTES_WIDEN
SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ flip;
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#define BYTES_MAGNITUDES
enum { MAGNITUDES_READ = 0 };
SIMD int32_t bytes_magnitudes(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    int32_t sum = 0;
    for (size_t at = (count + 3) / 4 * 4; at > 0;) {
        at -= 4;
        int8_t quad[4];
        for (size_t i = 0; i < 4; i++) quad[i] = (int8_t)(at + i < count ? from[at + i] ^ flip : 0);
        for (size_t i = 0; i < 4; i++) {
            to[2 * at + i] = (uint8_t)(quad[i] < 0 ? -quad[i] : quad[i]);
            to[2 * at + 4 + i] = quad[i] < 0 ? 0xff : 0;
            if (quad[i] < 0) sum -= quad[i];
        }
    }
    return sum;
}

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

void eo_gather_magnitudes__scalar(const struct eo_gather *gather) { gather_magnitudes(gather); }

void eo_gather_split__scalar(const struct eo_gather *gather) { gather_rows(SPLIT, gather); }

eo_gather_function *eo_gather_for(enum kernels_isa isa) {
    if (eo_gemm_takes_magnitudes(isa)) return eo_gather_magnitudes_best()->run;
    return eo_gemm_takes_words(isa) ? eo_gather_wide_best()->run : eo_gather_best()->run;
}
#pragma clang attribute pop
