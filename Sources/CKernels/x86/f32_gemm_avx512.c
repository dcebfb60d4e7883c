#if defined(__x86_64__)
#include "../simd/f32_avx512.h"

// 14: the image sizes of networks for 224 x 224 images (112, 56, 28, 14, 7) are its multiples; 28 sums, two vectors
// of weights and a broadcast fill the 32 registers.
enum { MR = 14 };
#define HALF_COUNTS UP_TO_7

#include "../simd/f32_gemm.h"

TARGET void eo_f32_gemm_14x32__avx512(const struct eo_gemm_tile *t) { tile(t); }
#endif
