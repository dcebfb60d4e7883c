#if defined(__aarch64__)
#include "../simd/f32_neon.h"

// 24 sums, two vectors of weights and broadcasts of the 32 registers.
enum { MR = 12 };
#define HALF_COUNTS UP_TO_6

#include "../simd/f32_gemm.h"

void eo_f32_gemm_12x8__neon(const struct eo_gemm_tile *t) { tile(t); }
#endif
