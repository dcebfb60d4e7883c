#if defined(__x86_64__)
#include "../simd/f32_avx2.h"

// 10 sums, a vector, a broadcast and a mask of the 16 registers.
enum { MR = 10 };
#define ROW_COUNTS(F) F(10) F(8) F(4) F(2) F(1)

#include "../simd/f32_outer.h"

TARGET void eo_f32_outer__avx2(const struct eo_outer_tile *t) { outer(t); }
#endif
