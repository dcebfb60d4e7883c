#if defined(__x86_64__)
#include "../simd/f32_avx512.h"

#include "../simd/f32_pooled.h"

__attribute__((minsize)) TARGET void eo_f32_pooled__avx512(const struct eo_pooled_line *t) { pooled(t); }
#endif
