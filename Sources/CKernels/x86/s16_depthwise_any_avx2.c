#if defined(__x86_64__)
#include "../simd/f32_avx2.h"
#include "../simd/s16_depthwise.h"

TARGET void eo_s16_depthwise__avx2(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
