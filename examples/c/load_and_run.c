// Classifies the held-out handwritten digits with a model, and prints its accuracy and latency.
//
//   load_and_run MODEL IMAGES.npy LABELS.npy
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PIXELS = 8 * 8, CLASSES = 10 };

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, eo_last_error());
    exit(1);
}

// The bytes after the header of a .npy file; their number goes to *size.
static unsigned char *read_npy(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char head[10];
    if (!file || fread(head, 1, sizeof head, file) != sizeof head) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    const long start = 10 + head[8] + 256 * head[9];
    fseek(file, 0, SEEK_END);
    *size = (size_t)(ftell(file) - start);
    unsigned char *data = malloc(*size);
    fseek(file, start, SEEK_SET);
    if (!data || fread(data, 1, *size, file) != *size) exit(1);
    fclose(file);
    return data;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL IMAGES.npy LABELS.npy\n", argv[0]);
        return 2;
    }
    size_t pixels, count;
    unsigned char *images = read_npy(argv[2], &pixels);
    unsigned char *labels = read_npy(argv[3], &count);

    eo_model *model;
    eo_interpreter *interpreter;
    if (eo_model_open(argv[1], &model) != EO_OK) fail("model");
    if (eo_interpreter_create(model, NULL, &interpreter) != EO_OK) fail("interpreter");

    // Where the interpreter wants its input and puts its output.
    eo_tensor input, output;
    if (eo_interpreter_input(interpreter, 0, &input) != EO_OK ||
        eo_interpreter_output(interpreter, 0, &output) != EO_OK)
        fail("tensors");
    if (input.type != EO_FLOAT32 || input.size != PIXELS * sizeof(float) || output.size != CLASSES * sizeof(float)) {
        fprintf(stderr, "%s: not a classifier of 8 x 8 digits with float input and output\n", argv[1]);
        return 1;
    }

    size_t right = 0;
    double busy = 0;
    for (size_t i = count / 2; i < count; i++) { // the first half was for training
        for (size_t p = 0; p < PIXELS; p++) ((float *)input.data)[p] = (float)images[i * PIXELS + p] / 16.0f;
        const double start = milliseconds();
        if (eo_interpreter_invoke(interpreter) != EO_OK) fail("invoke");
        busy += milliseconds() - start;

        const float *scores = output.data;
        int best = 0;
        for (int k = 1; k < CLASSES; k++)
            if (scores[k] > scores[best]) best = k;
        right += best == labels[i];
    }
    const size_t tested = count - count / 2;
    printf("%zu of %zu right: %.2f %%, %.4f ms each\n", right, tested, 100.0 * (double)right / (double)tested,
           busy / (double)tested);

    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    free(images);
    free(labels);
    return 0;
}
