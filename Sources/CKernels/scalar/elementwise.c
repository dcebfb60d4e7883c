// The element kernels for every processor: the twins that the others are tested against, so small rather than fast.
#define K(name) eo_##name##__scalar
#define TABLE eo_elementwise_scalar
#define ISA ISA_SCALAR
#define LANES 4
#define FUSED static __attribute__((noinline))
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "../simd/elementwise.h"
#pragma clang attribute pop

static const struct eo_elementwise *const rows[] = {
#if defined(__x86_64__)
    &eo_elementwise_avx512,
    &eo_elementwise_avx2,
#elif defined(__aarch64__)
    &eo_elementwise_neon,
#endif
    &eo_elementwise_scalar,
};

const struct eo_elementwise *const *eo_elementwise_rows(int *count) {
    *count = (int)(sizeof rows / sizeof *rows);
    return rows;
}

const struct eo_elementwise *eo_elementwise_best(void) {
    const struct eo_elementwise *const *row = rows;
    while (!kernels_isa_available((*row)->isa)) row++;
    return *row;
}
