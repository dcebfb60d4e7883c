#if defined(__x86_64__)
#include "../simd/f32_avx2.h"

// 12 sums, two vectors of weights and a broadcast of the 16 registers.
#define ROW_COUNTS UP_TO_6

#include "../simd/f32_sparse.h"

TARGET void eo_f32_sparse_6x16__avx2(const struct eo_gemm_tile *t) { tile(t); }
#endif
