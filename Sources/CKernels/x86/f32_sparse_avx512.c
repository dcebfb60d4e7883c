#if defined(__x86_64__)
#include "../simd/f32_avx512.h"

// As many rows as the dense product has, for the same image sizes.
#define ROW_COUNTS UP_TO_14

#include "../simd/f32_sparse.h"

TARGET void eo_f32_sparse_14x16__avx512(const struct eo_gemm_tile *t) { tile(t); }
#endif
