#if defined(__aarch64__)
#include "../simd/i32_neon.h"
#undef TARGET
#define TARGET __attribute__((target("i8mm,dotprod")))

#define PRODUCTS "integer_steps_i8mm.h"
#define ROW int8_t
#define ROW_OFFSET 128
#define VECTORS 2
#define MR 10
#define HALF_COUNTS UP_TO_6

#include "../simd/u8_gemm.h"

TARGET void eo_u8_gemm_10x8__i8mm(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_10x8__i8mm(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
#endif
