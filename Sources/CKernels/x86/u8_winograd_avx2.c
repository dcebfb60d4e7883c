#if defined(__x86_64__)
#include "../simd/i32_avx2.h"
#include "../simd/parts_avx2.h"
#include "../simd/row_counts.h"

#define VECTORS 2
#define ROWS 6

typedef uint16_t words __attribute__((vector_size(32)));

SIMD words words_of_bytes(const uint8_t *p, size_t part, uint8_t flip) {
    const __m128i bytes = part ? half_load_part(p, part) : _mm_loadu_si128((const __m128i *)p);
    return (words)_mm256_cvtepu8_epi16(_mm_xor_si128(bytes, _mm_set1_epi8((char)flip)));
}
SIMD words weights_of_bytes(const int8_t *p) {
    return (words)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}

#include "../simd/integer_winograd.h"

TARGET void eo_u8_winograd__avx2(const struct eo_u8_winograd_unit *unit) { winograd_unit(unit); }
#endif
