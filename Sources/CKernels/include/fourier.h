// The half spectra of real matrices of `rows` by `columns`, which are powers of two, in double precision: first the
// rows' spectra, then along the columns; eight lines at a time, by the kernels of elementwise.h.
#ifndef EDGEOPT_FOURIER_H
#define EDGEOPT_FOURIER_H

#include "elementwise.h"

#pragma GCC visibility push(hidden)

struct eo_fourier {
    const struct eo_elementwise *_Nonnull kernels;
    const double *_Nonnull table;
    size_t rows, columns;
    // Lines of the input begin `stride` numbers apart; what lies behind their `numbers` is 0, as are the lines behind
    // the first `filled` of `lines`.
    const float *_Nullable x;
    size_t numbers, stride, lines, filled;
    // Where the rows' spectra go; NULL: to y, nothing follows.
    double *_Nullable plane;
    float *_Nonnull y;
    double *_Nonnull memory; // of each worker
};

enum { EO_FOURIER_LINES = 8 };

// Doubles of a table, and of memory for a worker.
size_t eo_fourier_table_size(size_t rows, size_t columns);
size_t eo_fourier_memory_size(size_t rows, size_t columns);
void eo_fourier_table(size_t rows, size_t columns, double *_Nonnull table);
// A group of eight lines, or of eight columns of spectra; the last may have fewer.
void eo_fourier_rows(const struct eo_fourier *_Nonnull f, size_t group, size_t worker);
void eo_fourier_columns(const struct eo_fourier *_Nonnull f, size_t group, size_t worker);

#pragma GCC visibility pop
#endif
