// What every test of the kernel tables needs: memory of exact size, numbers, and complaints. Each test compares the
// rows that this machine has and EDGEOPT_ISA permits with the last row, their scalar twin.
#ifndef CHECK_H
#define CHECK_H

#include "kernels.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Memory that ends where its page ends, before one that nobody may touch. Where AddressSanitizer watches, it is its
// memory. Filled with bytes 0xa5.
struct block {
    void *base;
    size_t size;
};
struct block block_of(size_t size);
struct block block_copy(const void *from, size_t size);
void block_free(struct block *block);

// The same numbers in every run.
int32_t number(int32_t low, int32_t high);                   // low...high, both included
float real(void);                                            // multiples of 2^-20 within -1...1
int32_t often(int32_t low, int32_t high);                    // the ends of low...high in one half of all cases
struct block bytes(size_t count, int32_t low, int32_t high); // as `often`
struct block floats(size_t count);
struct block scales(size_t count, float unit); // 1...400 units

// A complaint, printed at most some times for each kernel. Returns `right`.
bool check(bool right, const char *kernel, const char *format, ...) __attribute__((format(printf, 3, 4)));
// The nearest bfloat16.
static inline float rounded(float x) {
    uint16_t y;
    eo_f32_to_bf16__scalar(1, &x, &y);
    const uint32_t bits = (uint32_t)y << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// At most `bound` apart, NaN like NaN.
bool alike(const float *found, const float *expected, size_t count, float bound);

// Adds results of scalar twins to the digest printed at the end, which is the same on every machine.
void digest(const void *results, size_t size);

// A kernel was compared with its twin: counted.
void compared(const char *kernel, const char *isa); // isa: of names that have none, or null

void test_products(void);
void test_hybrid_products(void);
void test_depthwise(void);
void test_rows(void);
void test_elementwise(void);
void test_lstm(void);
void test_training(void);
void test_winograd(void);
void test_u8_winograd(void);
void test_bfloats(void);
void test_parts(void);
void test_combine(void);

#endif
