// The kernels of gradients for every processor: the twins that the others are tested against.
#define K(name) eo_gradient_##name##__scalar
#define TABLE eo_gradients_scalar
#define ISA ISA_SCALAR
#define INDEPENDENT
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "../simd/gradients.h"
#pragma clang attribute pop

static const struct eo_gradients *const rows[] = {
#if defined(__x86_64__)
    &eo_gradients_avx2,
#elif defined(__aarch64__)
    &eo_gradients_neon,
#endif
    &eo_gradients_scalar,
};

const struct eo_gradients *const *eo_gradients_rows(int *count) {
    *count = (int)(sizeof rows / sizeof *rows);
    return rows;
}

const struct eo_gradients *eo_gradients_best(void) {
    const struct eo_gradients *const *row = rows;
    while (!kernels_isa_available((*row)->isa)) row++;
    return *row;
}
