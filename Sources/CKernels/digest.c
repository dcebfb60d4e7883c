#include "digest.h"

#include <string.h>

static const uint64_t keys[4] = {0x8a5cd789635d2dffu, 0x121fd2155c472f96u, 0xc3a5c85c97cb3127u, 0x9ae16a3b2f90404fu};

static uint64_t fold(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

uint64_t eo_digest(const void *bytes, size_t size, uint64_t seed) {
    const unsigned char *at = bytes;
    uint64_t lanes[4];
    for (int i = 0; i < 4; i++) lanes[i] = seed ^ keys[i];
    size_t left = size;
    for (; left >= 64; left -= 64, at += 64) {
        __builtin_prefetch(at + 2048);
        for (int i = 0; i < 4; i++) lanes[i] = fold(word(at + 16 * i) ^ keys[i], word(at + 16 * i + 8) ^ lanes[i]);
    }
    unsigned char rest[64] = {0};
    memcpy(rest, at, left);
    for (int i = 0; i < 4; i++) lanes[i] = fold(word(rest + 16 * i) ^ keys[i], word(rest + 16 * i + 8) ^ lanes[i]);
    const uint64_t low = fold(lanes[0] ^ size, lanes[1] ^ keys[0]);
    const uint64_t high = fold(lanes[2] ^ size, lanes[3] ^ keys[1]);
    return fold(low ^ keys[2], high ^ keys[3]);
}
