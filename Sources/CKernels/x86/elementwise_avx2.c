#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define K(name) eo_##name##__avx2
#define TABLE eo_elementwise_avx2
#define ISA ISA_AVX2
#define LANES 16 // two vectors at a time
#include "../simd/elementwise.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
