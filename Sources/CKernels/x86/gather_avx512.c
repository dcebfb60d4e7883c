#if defined(__x86_64__)
#include "../simd/bytes_avx512.h"
#include "../simd/gather.h"

TARGET void eo_gather__avx512(const struct eo_gather *gather) { gather_rows(PLAIN, gather); }

TARGET void eo_gather_wide__avx512(const struct eo_gather *gather) { gather_rows(WIDE, gather); }

TARGET void eo_gather_split__avx512(const struct eo_gather *gather) { gather_rows(SPLIT, gather); }
#endif
