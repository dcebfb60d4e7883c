#if defined(__aarch64__)
#include <arm_neon.h>
#define STEP eo_lstm_step__neon
#define LANES 8
typedef short shorts __attribute__((ext_vector_type(8), may_alias));
static inline shorts splat(short x) { return (shorts)x; }
static inline shorts multiply(shorts a, shorts b) { return (shorts)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b); }
#include "../simd/lstm.h"
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
