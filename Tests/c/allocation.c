// invoke allocates nothing and copies nothing: the C library's allocation functions are counted while it runs, and the
// results appear in the caller's memory.
#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int allocations; // atomic: worker threads count too
static void count(void) { __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED); }

// These come before the C library's own; the library under test calls them too.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) { return count(), __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return count(), __libc_calloc(number, size); }
void *realloc(void *block, size_t size) { return count(), __libc_realloc(block, size); }
void *memalign(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
int posix_memalign(void **block, size_t alignment, size_t size) {
    count();
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}
void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    count();
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

static void run(int threads) {
    eo_model *model = open_model();
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = threads;
    eo_interpreter *interpreter = create(model, &options);
    _Alignas(64) float image[INPUTS], scores[OUTPUTS], others[OUTPUTS];
    fill(image, INPUTS, 1);
    REQUIRE(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
    REQUIRE(eo_interpreter_bind_output(interpreter, 0, scores, sizeof scores) == EO_OK);

    eo_tensor tensor;
    CHECK(eo_interpreter_input(interpreter, 0, &tensor) == EO_OK && tensor.data == image);
    CHECK(eo_interpreter_output(interpreter, 0, &tensor) == EO_OK && tensor.data == scores);
    CHECK(eo_interpreter_input_binding(interpreter, 0) == EO_BINDING_DIRECT);
    CHECK(eo_interpreter_output_binding(interpreter, 0) == EO_BINDING_DIRECT);

    int before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    CHECK(before > 0); // the counting works
    for (int i = 0; i < 20; i++) {
        memset(scores, 0, sizeof scores);
        eo_interpreter_bind_output(interpreter, 0, i % 2 ? others : scores, sizeof scores);
        if (eo_interpreter_invoke(interpreter) != EO_OK) break;
    }
    int during = __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
    CHECK(during == 0);
    if (during) fprintf(stderr, "%d allocations in 20 invokes with %d threads\n", during, threads);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    float sum = 0;
    for (int i = 0; i < OUTPUTS; i++) sum += others[i];
    CHECK(sum > 0.999f && sum < 1.001f);

    // The same with timing switched on.
    eo_interpreter_set_profile(interpreter, true);
    before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    CHECK(__atomic_load_n(&allocations, __ATOMIC_RELAXED) == before);

    // And with the library's own memory, from the first invoke on.
    eo_interpreter *own = create(model, &options);
    before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    CHECK(eo_interpreter_invoke(own) == EO_OK);
    CHECK(__atomic_load_n(&allocations, __ATOMIC_RELAXED) == before);
    eo_interpreter_destroy(own);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
}

int main(void) {
    run(1);
    run(2);
    return failures != 0;
}
