#if defined(__aarch64__)
#include "../simd/f32_neon.h"
#include "../simd/s16_depthwise.h"

void eo_s16_depthwise__neon(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
