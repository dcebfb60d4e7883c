// What Embedded Swift asks about a character when it compares or hashes strings that are not ASCII. The toolchain's
// tables for that (33 KB) make spellings equal that look the same. To EdgeOpt, as to everything else that reads .tflite
// files, names are the same if their bytes are: every character is its own normal form and combines with none.
#if defined(EDGEOPT_EMBEDDED)
#include <stdint.h>

uint16_t _swift_stdlib_getNormData(uint32_t scalar);
uint32_t _swift_stdlib_getDecompositionEntry(uint32_t scalar);
uint32_t _swift_stdlib_getComposition(uint32_t first, uint32_t second);
extern const uint8_t *const _swift_stdlib_nfd_decompositions;

uint16_t _swift_stdlib_getNormData(uint32_t scalar) { return 0; }

uint32_t _swift_stdlib_getDecompositionEntry(uint32_t scalar) { return 0; }

uint32_t _swift_stdlib_getComposition(uint32_t first, uint32_t second) { return UINT32_MAX; }

const uint8_t *const _swift_stdlib_nfd_decompositions = (const uint8_t *)"";
#endif
