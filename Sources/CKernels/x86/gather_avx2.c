#if defined(__x86_64__)
#include "../simd/bytes_avx2.h"
#include "../simd/gather.h"

TARGET void eo_gather__avx2(const struct eo_gather *gather) { gather_rows(PLAIN, gather); }

TARGET void eo_gather_magnitudes__avx2(const struct eo_gather *gather) { gather_magnitudes(gather); }
#endif
