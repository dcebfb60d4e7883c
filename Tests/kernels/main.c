// Every row of the kernel tables that this machine has, against its scalar twin. Prints what was compared, and a digest
// of what the twins computed; exits 1 if anything differs. EDGEOPT_ISA leaves out the levels above it.
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_feature(address_sanitizer)
#define WATCHED 1
#else
#define WATCHED 0
#endif

static size_t pages(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

struct block block_of(size_t size) {
    struct block block = {NULL, size};
    if (WATCHED) {
        if (posix_memalign(&block.base, 64, size ? size : 1) != 0) abort();
    } else {
        char *base = mmap(NULL, pages(size) + pages(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base + pages(size), pages(1), PROT_NONE) != 0) abort();
        block.base = base + pages(size) - size;
    }
    memset(block.base, 0xa5, size);
    return block;
}

struct block block_copy(const void *from, size_t size) {
    struct block block = block_of(size);
    memcpy(block.base, from, size);
    return block;
}

void block_free(struct block *block) {
    if (WATCHED)
        free(block->base);
    else
        munmap((char *)block->base + block->size - pages(block->size), pages(block->size) + pages(1));
}

// Knuth's generator (The Art of Computer Programming 2, 3.3.4).
static uint64_t state;
int32_t number(int32_t low, int32_t high) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (int32_t)((state >> 33) % (uint64_t)((int64_t)high - low + 1));
}

float real(void) { return (float)number(-(1 << 20), 1 << 20) / (1 << 20); }

int32_t often(int32_t low, int32_t high) {
    const int32_t kind = number(0, 3);
    return kind == 0 ? low : kind == 1 ? high : number(low, high);
}

struct block bytes(size_t count, int32_t low, int32_t high) {
    struct block block = block_of(count);
    for (size_t i = 0; i < count; i++) ((uint8_t *)block.base)[i] = (uint8_t)often(low, high);
    return block;
}

struct block floats(size_t count) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = real();
    return block;
}

struct block scales(size_t count, float unit) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = (float)number(1, 400) * unit;
    return block;
}

static int failures;

bool check(bool right, const char *kernel, const char *format, ...) {
    if (right || ++failures > 20) return right;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", kernel);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    return right;
}

bool alike(const float *found, const float *expected, size_t count, float bound) {
    for (size_t i = 0; i < count; i++) {
        const float distance = found[i] > expected[i] ? found[i] - expected[i] : expected[i] - found[i];
        const bool both_nan = found[i] != found[i] && expected[i] != expected[i];
        if (!(distance <= bound) && !both_nan && found[i] != expected[i]) return false;
    }
    return true;
}

// FNV-1a.
static uint64_t digested = 0xcbf29ce484222325;
void digest(const void *results, size_t size) {
    for (size_t i = 0; i < size; i++) digested = (digested ^ ((const uint8_t *)results)[i]) * 0x100000001b3;
}

void compared(const char *kernel, const char *isa) { printf("  %s%s%s\n", kernel, isa ? "__" : "", isa ? isa : ""); }

// What the compiler's own library says of the processor.
static void test_detection(void) {
#if defined(__x86_64__)
    if (getenv("EDGEOPT_ISA")) return;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    check(kernels_isa_available(ISA_AVX2) == avx2, "isa", "avx2");
    check(kernels_isa_available(ISA_AVXVNNI) == (avx2 && __builtin_cpu_supports("avxvnni")), "isa", "avxvnni");
    check(kernels_isa_available(ISA_AVX512) == avx512, "isa", "avx512");
    check(kernels_isa_available(ISA_AVX512VNNI) == vnni, "isa", "avx512vnni");
    check(!kernels_isa_available(ISA_AMX) || (vnni && __builtin_cpu_supports("avx512bf16")), "isa", "amx");
    const bool tables = avx512 && __builtin_cpu_supports("avx512vbmi");
    check(kernels_has_byte_tables() == tables, "isa", "avx512vbmi");
#endif
}

int main(void) {
    test_detection();
    printf("kernels up to %s:\n", kernels_isa_name());
    // The numbers of a test do not depend on how many kernels the test before had.
    void (*const tests[])(void) = {
        test_products, test_hybrid_products, test_depthwise,   test_rows,    test_elementwise, test_lstm,
        test_training, test_winograd,        test_u8_winograd, test_bfloats, test_parts,       test_combine};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        state = i;
        tests[i]();
    }
    printf("digest of the twins' results: %016llx\n", (unsigned long long)digested);
    printf(failures ? "%d differences\n" : "all as their scalar twins\n", failures);
    return failures != 0;
}
