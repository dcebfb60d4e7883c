// Makes an int8 model from a float model and samples of its input.
//
//   quantize FLOAT_MODEL INT8_MODEL SAMPLES
//
// SAMPLES is a file of float32 inputs, one after the other.
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(void) {
    fprintf(stderr, "%s\n", eo_last_error());
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s FLOAT_MODEL INT8_MODEL SAMPLES\n", argv[0]);
        return 2;
    }
    eo_model *model, *small;
    eo_quantizer *quantizer;
    eo_quantizer_options options = EO_QUANTIZER_OPTIONS_INIT;
    options.scheme = EO_SCHEME_INT8;
    if (eo_model_open(argv[1], &model) != EO_OK || eo_quantizer_create(model, &options, &quantizer) != EO_OK)
        return fail();

    eo_tensor input;
    if (eo_quantizer_input(quantizer, 0, &input) != EO_OK) return fail();
    void *sample = malloc(input.size);
    FILE *samples = fopen(argv[3], "rb");
    if (!sample || !samples) return fprintf(stderr, "%s: cannot be read\n", argv[3]), 1;

    // Each sample runs through the float model; only the ranges of its tensors are kept.
    int count = 0;
    for (; fread(sample, input.size, 1, samples) == 1; count++) {
        const void *data[] = {sample};
        if (eo_quantizer_calibrate(quantizer, data, &input.size, 1) != EO_OK) return fail();
    }
    if (eo_quantizer_finish(quantizer, &small) != EO_OK || eo_model_save(small, argv[2]) != EO_OK) return fail();
    printf("calibrated with %d samples, wrote %s\n", count, argv[2]);

    fclose(samples);
    free(sample);
    eo_quantizer_destroy(quantizer);
    eo_model_destroy(small);
    eo_model_destroy(model);
    return 0;
}
