#if defined(__x86_64__)
#include "../simd/f32_avx2.h"

// 12 sums, two vectors of weights and a broadcast of the 16 registers.
enum { MR = 6 };
#define HALF_COUNTS UP_TO_3

#include "../simd/f32_gemm.h"

TARGET void eo_f32_gemm_6x16__avx2(const struct eo_gemm_tile *t) { tile(t); }
#endif
