#if defined(__x86_64__)
#include "../simd/f32_avx2.h"

#include "../simd/f32_pooled.h"

__attribute__((minsize)) TARGET void eo_f32_pooled__avx2(const struct eo_pooled_line *t) { pooled(t); }
#endif
