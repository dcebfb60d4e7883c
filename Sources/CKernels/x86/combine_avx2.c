#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LOOPS "clang loop vectorize(assume_safety) interleave_count(1) unroll(disable)"
#define COMBINE eo_combine__avx2
#include "../simd/combine.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
