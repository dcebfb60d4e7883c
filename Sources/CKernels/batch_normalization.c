#include "training.h"

#include <math.h>
#include <string.h>

#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Short rows cost a call each; a piece stays in the second-level cache.
enum { ROW = 512, PIECE = 65536 };
// Rows of scratch memory: constants, then two of sums for each piece.
enum { CENTER, FACTORS, SHIFTS, SLOPES, OFFSETS, SUMS };

void eo_batch_normalization_plan(struct eo_batch_normalization *n) {
    n->row = n->channels < ROW ? ROW / n->channels * n->channels : n->channels;
    n->piece = n->row < PIECE ? PIECE / n->row * n->row : n->row;
}

size_t eo_batch_normalization_pieces(const struct eo_batch_normalization *n) {
    return (n->count + n->piece - 1) / n->piece;
}

size_t eo_batch_normalization_scratch(const struct eo_batch_normalization *n) {
    return (SUMS + 2 * eo_batch_normalization_pieces(n)) * n->row;
}

static float *row_of(const struct eo_batch_normalization *n, size_t number) { return n->scratch + number * n->row; }

static void fill(const struct eo_batch_normalization *n, size_t number, size_t channel, double value) {
    for (size_t i = channel; i < n->row; i += n->channels) row_of(n, number)[i] = (float)value;
}

// How the channel is scaled and shifted.
static void place(const struct eo_batch_normalization *n, size_t channel, const float *mean, const float *variance) {
    const double factor = n->gamma[channel] / sqrt((double)variance[channel] + n->epsilon);
    fill(n, CENTER, channel, mean[channel]);
    fill(n, FACTORS, channel, factor);
    fill(n, SHIFTS, channel, n->beta[channel] - factor * mean[channel]);
}

void eo_batch_normalization_begin(const struct eo_batch_normalization *n) {
    memset(n->scratch, 0, eo_batch_normalization_scratch(n) * sizeof *n->scratch);
    const size_t near = n->count < n->row ? n->count : n->row;
    for (size_t c = 0; c < n->channels; c++) {
        double sum = 0;
        for (size_t i = c; i < near; i += n->channels) sum += n->x[i];
        if (n->dy)
            place(n, c, n->mean, n->variance);
        else // Products with distances from something near the mean lose less than squares do.
            fill(n, CENTER, c, sum * (double)n->channels / (double)near);
    }
}

static void run(const struct eo_batch_normalization *n, size_t piece, bool sums) {
    const struct eo_gradients *kernels = eo_gradients_best();
    const struct eo_elementwise *elements = eo_elementwise_best();
    float *own = row_of(n, SUMS + 2 * piece);
    const struct eo_normalization p = {row_of(n, CENTER), row_of(n, FACTORS),  row_of(n, SHIFTS),
                                       row_of(n, SLOPES), row_of(n, OFFSETS),  own,
                                       own + n->row,      n->dy ? n->low : -1, n->dy ? n->high : 1};
    const struct eo_scale_shift_params clamp = {.scale = 1,
                                                .middle_low = -INFINITY,
                                                .middle_high = INFINITY,
                                                .middle_scale = 1,
                                                .low = n->low,
                                                .high = n->high};
    const size_t end = n->count - piece * n->piece < n->piece ? n->count : (piece + 1) * n->piece;
    for (size_t i = piece * n->piece; i < end; i += n->row) {
        const size_t count = end - i < n->row ? end - i : n->row;
        const float *x = n->x + i, *dy = n->dy ? n->dy + i : x;
        if (sums) // Forward factors and shifts are 0 as yet, so everything passes.
            kernels->normalization_sums(count, dy, x, &p);
        else if (n->dy)
            kernels->normalization(count, dy, x, n->results[0] + i, &p);
        else
            elements->f32_scale_shift(count, x, p.factors, p.shifts, n->results[0] + i, &clamp);
    }
}

void eo_batch_normalization_sum(const struct eo_batch_normalization *n, size_t piece) { run(n, piece, true); }

void eo_batch_normalization_settle(const struct eo_batch_normalization *n) {
    const double pixels = (double)(n->count / n->channels);
    for (size_t c = 0; c < n->channels; c++) {
        double sum = 0, product = 0;
        for (size_t piece = 0; piece < eo_batch_normalization_pieces(n); piece++)
            for (size_t i = c; i < n->row; i += n->channels) {
                sum += row_of(n, SUMS + 2 * piece)[i];
                product += row_of(n, SUMS + 2 * piece + 1)[i];
            }
        if (n->dy) {
            const double inverse = 1 / sqrt((double)n->variance[c] + n->epsilon);
            const double factor = -n->gamma[c] * inverse / pixels;
            n->results[1][c] = (float)(product * inverse), n->results[2][c] = (float)sum;
            fill(n, SLOPES, c, factor * inverse * inverse * product), fill(n, OFFSETS, c, factor * sum);
            continue;
        }
        // sum of x (x - center) = sum of (x - mean)^2 + pixels mean (mean - center)
        const double mean = sum / pixels, variance = product / pixels - mean * (mean - row_of(n, CENTER)[c]);
        n->results[1][c] = (float)mean, n->results[2][c] = variance > 0 ? (float)variance : 0;
        place(n, c, n->mean ? n->mean : n->results[1], n->variance ? n->variance : n->results[2]);
    }
}

void eo_batch_normalization_apply(const struct eo_batch_normalization *n, size_t piece) { run(n, piece, false); }
#pragma clang attribute pop
