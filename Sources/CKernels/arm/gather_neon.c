#if defined(__aarch64__)
#include "../simd/bytes_neon.h"
#include "../simd/gather.h"

void eo_gather__neon(const struct eo_gather *gather) { gather_rows(PLAIN, gather); }

void eo_gather_wide__neon(const struct eo_gather *gather) { gather_rows(WIDE, gather); }
#endif
