// Runs models on made-up inputs, to compare what the library computes on one machine with what it computes on another.
//
//   outputs write FILE MODEL...    writes all outputs
//   outputs compare FILE MODEL...  runs the same models; exits 1 unless integer outputs are the same and floats close
#include <edgeopt.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *file;
static bool writes;

// The same numbers everywhere: floats within -1...1, small whole numbers, which may be indices, all bytes.
static void fill(const eo_tensor *t) {
    unsigned seed = 1;
    for (size_t i = 0; i < t->size / (t->type == EO_FLOAT32 || t->type == EO_INT32 ? 4 : 1); i++) {
        seed = seed * 1103515245u + 12345u;
        if (t->type == EO_FLOAT32)
            ((float *)t->data)[i] = (float)((int)(seed >> 16 & 255) - 128) / 128.0f;
        else if (t->type == EO_INT32)
            ((int32_t *)t->data)[i] = (int32_t)(seed >> 16 & 3);
        else
            ((uint8_t *)t->data)[i] = t->type == EO_INT8 || t->type == EO_UINT8 || t->type == EO_INT16 ? seed >> 16 : 0;
    }
}

static eo_interpreter *run(const char *path, eo_model **model) {
    eo_interpreter *interpreter = NULL;
    *model = NULL;
    if (eo_model_open(path, model) != EO_OK || eo_interpreter_create(*model, NULL, &interpreter) != EO_OK) return NULL;
    for (int i = 0; i < eo_interpreter_input_count(interpreter); i++) {
        eo_tensor input;
        if (eo_interpreter_input(interpreter, i, &input) == EO_OK && input.data) fill(&input);
    }
    if (eo_interpreter_invoke(interpreter) == EO_OK) return interpreter;
    eo_interpreter_destroy(interpreter);
    return NULL;
}

static void transfer(void *data, size_t size) {
    if ((writes ? fwrite(data, 1, size, file) : fread(data, 1, size, file)) == size) return;
    perror("outputs");
    exit(2);
}

// Difference in units of the largest number; 0 if all bits are the same, 2 if it makes no sense.
static double difference(const eo_tensor *found, const void *expected) {
    if (memcmp(found->data, expected, found->size) == 0) return 0;
    if (found->type != EO_FLOAT32) return 2;
    const float *a = found->data, *b = expected;
    double largest = 1e-30, worst = 0;
    for (size_t i = 0; i < found->size / sizeof(float); i++) {
        if (isnan(a[i]) != isnan(b[i])) return 2;
        if (isnan(a[i]) || a[i] == b[i]) continue;
        largest = fmax(largest, fabs(b[i]));
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    }
    return worst / largest;
}

// One model: how its outputs differ at worst, -1 if it did not run in either place.
static double model_difference(const char *path) {
    eo_model *model;
    eo_interpreter *interpreter = run(path, &model);
    int32_t count = interpreter ? eo_interpreter_output_count(interpreter) : -1, expected = count;
    transfer(&expected, sizeof expected);
    double worst = count < 0 ? -1 : expected == count ? 0 : 2;
    for (int i = 0; i < expected; i++) {
        eo_tensor output = {0};
        if (i < count) eo_interpreter_output(interpreter, i, &output);
        uint64_t size = output.size;
        transfer(&size, sizeof size);
        if (writes) {
            transfer(output.data, output.size);
            continue;
        }
        void *data = malloc(size ? size : 1);
        transfer(data, size);
        worst = fmax(worst, size == output.size ? difference(&output, data) : 2);
        free(data);
    }
    if (expected != count) worst = 2;
    if (!interpreter && worst > 1) fprintf(stderr, "%s: %s\n", path, eo_last_error());
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return worst;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    writes = strcmp(argv[1], "write") == 0;
    file = fopen(argv[2], writes ? "wb" : "rb");
    if (!file) return perror(argv[2]), 2;
    int same = 0, close = 0, refused = 0, different = 0;
    for (int i = 3; i < argc; i++) {
        const double worst = model_difference(argv[i]);
        same += worst == 0, refused += worst == -1, close += worst > 0 && worst < 1e-4, different += worst >= 1e-4;
        if (worst > 0)
            printf("  %s: %g%s\n", strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i], worst,
                   worst < 1e-4 ? "" : " DIFFERENT");
    }
    fclose(file);
    if (!writes)
        printf("%d models: %d the same bits, %d within 1e-4, %d run nowhere, %d different\n", argc - 3, same, close,
               refused, different);
    return different > 0;
}
