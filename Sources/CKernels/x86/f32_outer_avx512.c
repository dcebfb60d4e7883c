#if defined(__x86_64__)
#include "../simd/f32_avx512.h"

// 16: the channels of networks are its multiples, and 16 sums hide the latency of both multipliers. A step loads 17
// numbers for 16 products, so the two load ports bound it to 16/17 of the peak. 9 and 3: taps of first layers.
enum { MR = 16 };
#define ROW_COUNTS(F) F(16) F(12) F(9) F(8) F(3) F(1)

#include "../simd/f32_outer.h"

TARGET void eo_f32_outer__avx512(const struct eo_outer_tile *t) { outer(t); }
#endif
