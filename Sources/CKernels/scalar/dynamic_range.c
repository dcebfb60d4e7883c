#include "dynamic_range.h"

#include <math.h>

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_range, EO_F32_RANGE_ROWS)
KERNEL_FAMILY_TABLE(eo_f32_to_u8, EO_F32_TO_U8_ROWS)

struct eo_range eo_f32_range__scalar(const float *x, size_t count) {
    struct eo_range range = {0, 0, 0};
    for (size_t i = 0; i < count; i++) {
        range.low = x[i] < range.low ? x[i] : range.low;
        range.high = x[i] > range.high ? x[i] : range.high;
        range.check += x[i] * 0;
    }
    return range;
}

float eo_f32_to_u8__scalar(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    float check = 0;
    for (size_t i = 0; i < count; i++) {
        float y = grid->offset + x[i] * grid->inverse;
        y = y < grid->low ? grid->low : y > 127 ? 127 : y;
        q[i] = (uint8_t)((int)roundf(y) + 128);
        check += x[i] * 0;
    }
    return check;
}
#pragma clang attribute pop
