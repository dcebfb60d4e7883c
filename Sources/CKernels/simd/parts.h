// Runs of 16 bytes or fewer as two words, for instruction sets without masks. What a run's pieces have in common is
// read or written twice: nothing outside it is touched, and no call is made.
#ifndef EDGEOPT_SIMD_PARTS_H
#define EDGEOPT_SIMD_PARTS_H

#include <stddef.h>
#include <stdint.h>

struct part {
    uint64_t low, high;
};

// The first `count` bytes, at most 8, zeros behind.
static inline uint64_t word_load_part(const uint8_t *from, size_t count) {
    if (count == 0) return 0;
    if (count < 4) {
        const size_t middle = count / 2, last = count - 1;
        return from[0] | (uint64_t)from[middle] << 8 * middle | (uint64_t)from[last] << 8 * last;
    }
    uint32_t first, last;
    __builtin_memcpy(&first, from, 4);
    __builtin_memcpy(&last, from + count - 4, 4);
    return first | (uint64_t)last << 8 * (count - 4);
}

static inline struct part part_load(const void *from_, size_t count) {
    const uint8_t *from = from_;
    struct part p = {0, 0};
    if (count < 8) {
        p.low = word_load_part(from, count);
    } else {
        __builtin_memcpy(&p.low, from, 8);
        p.high = word_load_part(from + 8, count - 8);
    }
    return p;
}

static inline void part_store(void *to_, struct part p, size_t count) {
    uint8_t *to = to_;
#define PIECE(SIZE, SHIFT)                                                                                             \
    if (count & SIZE) {                                                                                                \
        __builtin_memcpy(to, &p.low, SIZE);                                                                            \
        to += SIZE;                                                                                                    \
        SHIFT;                                                                                                         \
    }
    if (count >= 16) {
        __builtin_memcpy(to, &p, 16);
        return;
    }
    PIECE(8, p.low = p.high)
    PIECE(4, p.low >>= 32)
    PIECE(2, p.low >>= 16)
    PIECE(1, )
#undef PIECE
}

#endif
