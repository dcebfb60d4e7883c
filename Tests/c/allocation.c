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

static void run(int threads, eo_precision precision) {
    eo_model *model = open_model();
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = threads, options.precision = precision;
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

// Quantized with one sample; EO_SCHEME_FLOAT16 is the model as it is.
static eo_model *quantized(const eo_model *model, eo_scheme scheme, const float *sample, size_t size) {
    eo_quantizer_options options = EO_QUANTIZER_OPTIONS_INIT;
    options.scheme = scheme, options.min_weight_elements = 0;
    eo_quantizer *quantizer = NULL;
    REQUIRE(eo_quantizer_create(model, &options, &quantizer) == EO_OK);
    const void *data = sample;
    if (scheme == EO_SCHEME_INT8) CHECK(eo_quantizer_calibrate(quantizer, &data, &size, 1) == EO_OK);
    eo_model *result = NULL;
    REQUIRE(eo_quantizer_finish(quantizer, &result) == EO_OK);
    eo_quantizer_destroy(quantizer);
    return result;
}

// Models whose states change from step to step: an LSTM layer over 12 steps, which edgeopt.Graph made, and a loop.
static void recur(const char *path, eo_scheme scheme, int threads) {
    eo_model *file = NULL, *model = NULL;
    REQUIRE(eo_model_open(path, &file) == EO_OK);
    float sample[60];
    fill(sample, 60, 2);
    for (int i = 0; i < 60; i++) sample[i] = sample[i] / 8 - 1;
    model = scheme == EO_SCHEME_FLOAT16 ? file : quantized(file, scheme, sample, sizeof sample);
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = threads;
    eo_interpreter *interpreter = create(model, &options);
    eo_tensor input, output;
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    REQUIRE(eo_interpreter_input(interpreter, 0, &input) == EO_OK && input.size <= sizeof sample);
    memcpy(input.data, sample, input.size);
    const int before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    for (int i = 0; i < 5; i++) CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    const int during = __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
    CHECK(during == 0);
    if (during) fprintf(stderr, "%s, scheme %d: %d allocations in 5 invokes\n", path, (int)scheme, during);
    // It computed something.
    REQUIRE(eo_interpreter_output(interpreter, 0, &output) == EO_OK);
    float largest = 0;
    for (size_t i = 0; i < output.size / sizeof(float); i++) {
        const float value = ((const float *)output.data)[i];
        if (value > largest) largest = value;
    }
    CHECK(largest > 0.1f && largest < 100);
    eo_interpreter_destroy(interpreter);
    if (model != file) eo_model_destroy(model);
    eo_model_destroy(file);
}

// A model that somebody else made, with zeros for inputs; false: it cannot run like that.
static bool runs(const char *path, int threads) {
    eo_model *model = NULL;
    eo_interpreter *interpreter = NULL;
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = threads;
    const bool is_ready = eo_model_open(path, &model) == EO_OK &&
                          eo_interpreter_create(model, &options, &interpreter) == EO_OK &&
                          eo_interpreter_invoke(interpreter) == EO_OK;
    if (is_ready) {
        const int before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
        CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
        const int during = __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
        CHECK(during == 0);
        if (during) fprintf(stderr, "%s: %d allocations with %d threads\n", path, during, threads);
    }
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return is_ready;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        int skipped = 0;
        for (int i = 1; i < argc; i++) skipped += !runs(argv[i], 1 + i % 2);
        printf("%d models, %d of them skipped: they do not run on zeros\n", argc - 1, skipped);
        CHECK(skipped < (argc - 1) / 4);
        return failures != 0;
    }
    run(1, EO_PRECISION_FLOAT32), run(1, EO_PRECISION_BFLOAT16);
    run(2, EO_PRECISION_FLOAT32), run(2, EO_PRECISION_BFLOAT16);
    for (int threads = 1; threads <= 2; threads++) {
        recur("Tests/c/lstm.tflite", EO_SCHEME_FLOAT16, threads);
        recur("Tests/c/lstm.tflite", EO_SCHEME_DYNAMIC_RANGE, threads);
        recur("Tests/c/lstm.tflite", EO_SCHEME_INT8, threads);
        recur("Tests/c/loop.tflite", EO_SCHEME_FLOAT16, threads);
    }
    return failures != 0;
}
