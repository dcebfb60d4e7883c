#define SIMD static inline
#define CHANNELS 8
#include "../simd/s16_depthwise.h"

KERNEL_FAMILY_TABLE(eo_s16_depthwise, EO_S16_DEPTHWISE_ROWS)

void eo_s16_depthwise__scalar(const struct eo_depthwise_run *run) { depthwise_run(run); }
