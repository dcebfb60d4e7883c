#ifndef EDGEOPT_KERNELS_COPY_H
#define EDGEOPT_KERNELS_COPY_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

// `count` rows of `size` bytes, which lie so many bytes apart. Source and target do not overlap.
void eo_copy_rows(size_t count, size_t size, const void *_Nonnull from, ptrdiff_t from_stride, void *_Nonnull to,
                  ptrdiff_t to_stride);

// Row i is the one `places[i]` rows of `size` bytes after `from`. Source and target do not overlap.
void eo_copy_places(size_t count, size_t size, const void *_Nonnull from, const int64_t *_Nonnull places,
                    void *_Nonnull to);

// Repeats a pattern of `size` bytes, which may be the first of the target; `bytes` are a multiple of them.
void eo_fill(size_t bytes, size_t size, const void *_Nonnull pattern, void *_Nonnull to);

// Repeats each of `count` elements of 1, 2, 4 or 8 bytes `length` times.
void eo_spread(size_t count, size_t length, size_t size, const void *_Nonnull elements, void *_Nonnull to);

// Element (i, j) of `rows` rows of `columns` neighbouring elements becomes element (j, i). Rows of the source and of
// the target lie so many bytes apart; an element has `size` bytes: 1, 2, 4, 8 or 16. They do not overlap.
void eo_transpose(size_t size, size_t rows, size_t columns, const void *_Nonnull from, ptrdiff_t from_stride,
                  void *_Nonnull to, ptrdiff_t to_stride);

#pragma GCC visibility pop
#endif
