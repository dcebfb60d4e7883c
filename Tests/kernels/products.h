// What the tests of matrix products share.
#ifndef PRODUCTS_H
#define PRODUCTS_H

#include "check.h"

struct size {
    size_t rows, columns, depth;
};

// One product, and what a kernel makes of it.
struct product {
    struct size size;
    size_t filled; // depth as the kernel counts it
    size_t output_size;
    const void *parameters;
    const void *row_parameters;
    size_t row_parameters_stride;
};

enum { GAP = 24 }; // bytes between rows of the output, which must stay as they were

// `step` rows at a time.
struct block run(const struct product *p, eo_gemm_function *kernel, size_t step, const struct block *input,
                 const struct block *packed);
bool same(const struct block *a, const struct block *b);

// Rows as the kernels of `isa` take them; *is_signed becomes whether they are int8. `wanted`: what the kernel gets that
// takes both.
struct block byte_rows(enum kernels_isa isa, const struct size *size, const uint8_t *from, bool wanted,
                       bool *is_signed);

// Calls body for every number of rows; with the fewest and the most also for every number of columns up to two blocks
// and one more; a single row also for four blocks and more. Kernels for many rows get sizes around their blocks and
// steps.
void each_size(int mr, int nr, void (*body)(const void *kernel, struct size), const void *kernel);

// The last row of a table becomes `twin`, which must not mind how many rows it takes at once. Then all other rows.
#define TWIN(family, twin, case)                                                                                       \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *table = family##_rows(&count);                                                          \
        twin = table + count - 1;                                                                                      \
        each_size(twin->mr, twin->nr, case, twin);                                                                     \
    } while (0)
#define EACH_KERNEL(family, twin, case)                                                                                \
    do {                                                                                                               \
        int count;                                                                                                     \
        const family##_kernel *table = family##_rows(&count);                                                          \
        for (const family##_kernel *kernel = table; kernel < twin; kernel++)                                           \
            if (kernels_isa_available(kernel->isa)) {                                                                  \
                each_size(kernel->mr, kernel->nr, case, kernel);                                                       \
                compared(kernel->name, NULL);                                                                          \
            }                                                                                                          \
    } while (0)

#endif
