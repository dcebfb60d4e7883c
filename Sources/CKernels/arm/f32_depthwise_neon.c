#if defined(__aarch64__)
#include "../simd/f32_neon.h"
#include "../simd/f32_depthwise.h"

void eo_f32_depthwise__neon(const struct eo_depthwise_run *run) { depthwise_run(run); }

void eo_f32_depthwise_lines__neon(const struct eo_f32_depthwise_lines *lines) { depthwise_lines(lines); }
#endif
