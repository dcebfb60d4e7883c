#if defined(__aarch64__)
#include "../simd/f32_neon.h"

#include "../simd/f32_pooled.h"

void eo_f32_pooled__neon(const struct eo_pooled_line *t) { pooled(t); }
#endif
