// The kernels of optimizers for every processor: the twins that the others are tested against.
#define K(name) eo_optimizer_##name##__scalar
#define TABLE eo_optimizers_scalar
#define ISA ISA_SCALAR
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "../simd/optimizers.h"
#pragma clang attribute pop

static const struct eo_optimizers *const rows[] = {
#if defined(__x86_64__)
    &eo_optimizers_avx2,
#elif defined(__aarch64__)
    &eo_optimizers_neon,
#endif
    &eo_optimizers_scalar,
};

const struct eo_optimizers *const *eo_optimizers_rows(int *count) {
    *count = (int)(sizeof rows / sizeof *rows);
    return rows;
}

const struct eo_optimizers *eo_optimizers_best(void) {
    const struct eo_optimizers *const *row = rows;
    while (!kernels_isa_available((*row)->isa)) row++;
    return *row;
}
