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

static size_t pieces(const struct eo_dynamic_range *d) { return (d->length + d->cut - 1) / d->cut; }

// Where a piece begins, and how long it is.
static size_t place(const struct eo_dynamic_range *d, size_t piece, size_t *count) {
    const size_t begin = piece % pieces(d) * d->cut;
    *count = d->length - begin < d->cut ? d->length - begin : d->cut;
    return piece / pieces(d) * d->length + begin;
}

void eo_dynamic_range_survey(const struct eo_dynamic_range *d, size_t piece) {
    size_t count;
    const float *x = d->x + place(d, piece, &count);
    d->ranges[piece] = d->range(x, count);
}

void eo_dynamic_range_spread(const struct eo_dynamic_range *d, size_t index) {
    struct eo_range range = {0, 0, 0};
    for (size_t piece = index * pieces(d); piece < (index + 1) * pieces(d); piece++) {
        const struct eo_range part = d->ranges[piece];
        range.low = part.low < range.low ? part.low : range.low;
        range.high = part.high > range.high ? part.high : range.high;
        range.check += part.check;
    }
    struct eo_hybrid_row *row = d->rows + index;
    *row = (struct eo_hybrid_row){isnan(range.check) ? NAN : 0, 128};
    d->grids[index] = (struct eo_grid){INFINITY, 0, 0};
    if (isnan(range.check) || range.low == range.high) return;
    d->grids[index] = d->asymmetric ? spread(range, row) : mirror(range, row);
    row->zero_point += 128;
}

void eo_dynamic_range_quantize(const struct eo_dynamic_range *d, size_t piece) {
    size_t count;
    const size_t at = place(d, piece, &count);
    const struct eo_grid *grid = d->grids + piece / pieces(d);
    const struct eo_hybrid_row *row = d->rows + piece / pieces(d);
    // The inverse of a denormal scale is infinite: such a row is as good as zero.
    if (isfinite(grid->inverse))
        d->quantize(grid, d->x + at, d->q + at, count);
    else
        memset(d->q + at, row->zero_point, count);
    if (!d->rounded) return;
    for (size_t i = at; i < at + count; i++) d->rounded[i] = (float)(d->q[i] - row->zero_point) * row->scale;
}
