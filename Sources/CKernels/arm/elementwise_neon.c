#if defined(__aarch64__)
#define K(name) eo_##name##__neon
#define TABLE eo_elementwise_neon
#define ISA ISA_NEON
#define LANES 8 // two vectors at a time
#include "../simd/elementwise.h"
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
