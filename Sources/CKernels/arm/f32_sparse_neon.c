#if defined(__aarch64__)
#include "../simd/f32_neon.h"

// 24 sums, four vectors of weights and broadcasts of the 32 registers.
#define ROW_COUNTS UP_TO_6

#include "../simd/f32_sparse.h"

void eo_f32_sparse_6x16__neon(const struct eo_gemm_tile *t) { tile(t); }
#endif
