// Small rather than fast: every processor that runs 16x8 models in practice has a kernel of its own.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#define SIMD static inline
#include "../simd/s16_depthwise.h"

KERNEL_FAMILY_TABLE(eo_s16_depthwise, EO_S16_DEPTHWISE_ROWS)

void eo_s16_depthwise__scalar(const struct eo_depthwise_run *run) { depthwise_run(run); }

#pragma clang attribute pop
