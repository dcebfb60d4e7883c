#include "dynamic_range.h"

#include <math.h>
#include <string.h>

// Zero must be exact: it is the nearest whole number to where the range puts it, seen from the end with the smaller
// rounding error.
static struct eo_grid spread(struct eo_range range, struct eo_hybrid_row *row) {
    const double low = range.low, high = range.high, scale = (high - low) / 255;
    const double from_low = -128 - low / scale, from_high = 127 - high / scale;
    const double zero = round(128 + fabs(low / scale) < 127 + fabs(high / scale) ? from_low : from_high);
    row->scale = (float)scale;
    row->zero_point = zero < -128 ? -128 : zero > 127 ? 127 : (int32_t)zero;
    return (struct eo_grid){1 / row->scale, (float)row->zero_point, -128};
}

static struct eo_grid mirror(struct eo_range range, struct eo_hybrid_row *row) {
    const float limit = -range.low > range.high ? -range.low : range.high;
    row->scale = limit / 127;
    row->zero_point = 0;
    return (struct eo_grid){127 / limit, 0, -127};
}

void eo_dynamic_range_row(const struct eo_dynamic_range *d, size_t index) {
    const float *x = d->x + index * d->length;
    uint8_t *q = d->q + index * d->length;
    struct eo_hybrid_row *row = d->rows + index;
    const struct eo_range range = d->range(x, d->length);
    *row = (struct eo_hybrid_row){isnan(range.check) ? NAN : 1, 128};
    if (!isnan(range.check) && range.low != range.high) {
        const struct eo_grid grid = d->asymmetric ? spread(range, row) : mirror(range, row);
        row->zero_point += 128;
        // The inverse of a denormal scale is infinite: such a row is as good as zero.
        if (isfinite(grid.inverse)) {
            d->quantize(&grid, x, q, d->length);
            return;
        }
    }
    memset(q, row->zero_point, d->length);
}

void eo_dynamic_range_undo(const struct eo_hybrid_row *row, const uint8_t *q, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = (float)(q[i] - row->zero_point) * row->scale;
}
