#ifndef EDGEOPT_KERNELS_COPY_H
#define EDGEOPT_KERNELS_COPY_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

// `count` rows of `size` bytes, which lie so many bytes apart. Source and target do not overlap.
void eo_copy_rows(size_t count, size_t size, const void *_Nonnull from, ptrdiff_t from_stride, void *_Nonnull to,
                  ptrdiff_t to_stride);

#pragma GCC visibility pop
#endif
