#if defined(__x86_64__)
#include "../simd/f32_avx512.h"
#include "../simd/bf16.h"
#include "gemm.h"

TARGET void eo_f32_to_bf16__avx512(size_t count, const float *x, uint16_t *y) { round_floats(count, x, y); }
#endif
