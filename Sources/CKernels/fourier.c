#include "include/fourier.h"

#include <math.h>
#include <string.h>

// What takes time are the kernels that these call.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

enum { LINES = EO_FOURIER_LINES, POINT = 2 * LINES };

// Even and odd numbers of a row are the real and the imaginary parts of half as many points.
static size_t points_of(size_t columns) { return columns > 1 ? columns / 2 : 1; }
static size_t bins_of(size_t columns) { return columns / 2 + 1; }

// A table: twiddles across a row, those that part even from odd numbers, twiddles across a column.
static size_t halves_at(size_t columns) { return 2 * points_of(columns); }
static size_t column_at(size_t columns) { return halves_at(columns) + 2 * (columns / 4 + 1); }

size_t eo_fourier_table_size(size_t rows, size_t columns) { return column_at(columns) + 2 * rows; }

size_t eo_fourier_memory_size(size_t rows, size_t columns) {
    return POINT * (rows > bins_of(columns) ? rows : bins_of(columns));
}

// exp(-2 pi i k / n).
static void put_root(double *to, size_t k, size_t n) {
    const double angle = -2 * 3.14159265358979323846 * (double)k / (double)n;
    to[0] = cos(angle), to[1] = sin(angle);
}

static void put_twiddles(double *to, size_t n) {
    static const size_t powers[] = {2, 1, 3};
    for (size_t width = __builtin_ctzll(n) % 2 ? 2 : 1; width < n; width *= 4)
        for (size_t k = 0; k < width; k++)
            for (size_t i = 0; i < 3; i++, to += 2) put_root(to, powers[i] * k, 4 * width);
}

void eo_fourier_table(size_t rows, size_t columns, double *table) {
    put_twiddles(table, points_of(columns));
    for (size_t k = 0; k <= columns / 4; k++) put_root(table + halves_at(columns) + 2 * k, k, columns);
    put_twiddles(table + column_at(columns), rows);
}

// Where the kernels expect the point: with the bits of its number in reverse order.
static double *point_at(double *z, size_t i, size_t n) {
    return z + (__builtin_bitreverse64(i) >> 1 >> (63 - __builtin_ctzll(n))) * POINT;
}

static double *memory_of(const struct eo_fourier *f, size_t worker) {
    return f->memory + worker * eo_fourier_memory_size(f->rows, f->columns);
}

void eo_fourier_rows(const struct eo_fourier *f, size_t group, size_t worker) {
    double *z = memory_of(f, worker);
    const size_t first = group * LINES;
    const size_t points = points_of(f->columns), numbers = 2 * bins_of(f->columns);
    memset(z, 0, points * POINT * sizeof *z);
    const size_t filled = f->filled < first ? 0 : f->filled - first < LINES ? f->filled - first : LINES;
    for (size_t i = 0; i < f->numbers && filled > 0; i++) {
        const float *from = f->x + first * f->stride + i;
        double *to = point_at(z, i / 2, points) + i % 2 * LINES;
        for (size_t line = 0; line < filled; line++) to[line] = from[line * f->stride];
    }
    f->kernels->f64_fourier(points, f->table, z);
    if (f->columns > 1) f->kernels->f64_real_spectrum(points, f->table + halves_at(f->columns), z);
    for (size_t line = 0; line < LINES && first + line < f->lines; line++)
        for (size_t i = 0; i < numbers; i++) {
            const double number = z[i / 2 * POINT + i % 2 * LINES + line];
            if (f->plane)
                f->plane[(first + line) * numbers + i] = number;
            else
                f->y[(first + line) * numbers + i] = (float)number;
        }
}

void eo_fourier_columns(const struct eo_fourier *f, size_t group, size_t worker) {
    double *z = memory_of(f, worker);
    const size_t first = group * LINES;
    const size_t left = bins_of(f->columns) - first, count = 2 * (left < LINES ? left : LINES);
    const size_t stride = 2 * bins_of(f->columns);
    const double *from = f->plane + 2 * first;
    float *to = f->y + 2 * first;
    for (size_t r = 0; r < f->rows; r++, from += stride) {
        double *point = point_at(z, r, f->rows);
        for (size_t i = 0; i < count; i++) point[i % 2 * LINES + i / 2] = from[i];
    }
    f->kernels->f64_fourier(f->rows, f->table + column_at(f->columns), z);
    for (size_t r = 0; r < f->rows; r++, to += stride)
        for (size_t i = 0; i < count; i++) to[i] = (float)z[r * POINT + i % 2 * LINES + i / 2];
}

#pragma clang attribute pop
