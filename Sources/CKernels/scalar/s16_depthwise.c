#define SIMD static inline
#define CHANNELS 8
// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "../simd/s16_depthwise.h"

KERNEL_FAMILY_TABLE(eo_s16_depthwise, EO_S16_DEPTHWISE_ROWS)

void eo_s16_depthwise__scalar(const struct eo_depthwise_run *run) { depthwise_run(run); }
#pragma clang attribute pop
