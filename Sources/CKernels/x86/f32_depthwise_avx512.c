#if defined(__x86_64__)
#include "../simd/f32_avx512.h"
#include "../simd/f32_depthwise.h"

TARGET void eo_f32_depthwise__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }

TARGET void eo_f32_depthwise_lines__avx512(const struct eo_f32_depthwise_lines *lines) { depthwise_lines(lines); }
#endif
