// Telling contents apart: the keys and checksums of the packed-weight file.
#ifndef EDGEOPT_KERNELS_DIGEST_H
#define EDGEOPT_KERNELS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

// 64 bits that depend on every bit of `bytes`, `size` and `seed`, at the speed of memory. Products of 64 by 64 bits
// folded to 64, in four lanes (the construction of Wang Yi's wyhash). Not for contents an attacker chooses.
uint64_t eo_digest(const void *_Nonnull bytes, size_t size, uint64_t seed);

#pragma GCC visibility pop
#endif
