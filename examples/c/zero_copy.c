// The caller's memory is the tensor: a camera's ring of frames goes through a model, and no byte is copied.
//
//   zero_copy MODEL
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 3 };

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return 2;
    }
    eo_model *model;
    eo_interpreter *interpreter;
    eo_tensor input, output;
    if (eo_model_open(argv[1], &model) != EO_OK || eo_interpreter_create(model, NULL, &interpreter) != EO_OK ||
        eo_interpreter_input(interpreter, 0, &input) != EO_OK ||
        eo_interpreter_output(interpreter, 0, &output) != EO_OK)
        return fprintf(stderr, "%s\n", eo_last_error()), 1;

    // 64-byte aligned memory is always used in place. aligned_alloc wants whole multiples of that.
    unsigned char *frames[FRAMES];
    const size_t room = (input.size + 63) / 64 * 64;
    for (int i = 0; i < FRAMES; i++) {
        frames[i] = aligned_alloc(64, room);
        if (!frames[i]) return 1;
        memset(frames[i], 0, room); // the camera would write here
    }
    float *result = aligned_alloc(64, (output.size + 63) / 64 * 64);
    if (!result || eo_interpreter_bind_output(interpreter, 0, result, output.size) != EO_OK)
        return fprintf(stderr, "%s\n", eo_last_error()), 1;

    // Rebinding costs nothing: it only changes a pointer.
    for (int i = 0; i < FRAMES; i++) {
        if (eo_interpreter_bind_input(interpreter, 0, frames[i], input.size) != EO_OK ||
            eo_interpreter_invoke(interpreter) != EO_OK)
            return fprintf(stderr, "%s\n", eo_last_error()), 1;
        if (eo_interpreter_input_binding(interpreter, 0) != EO_BINDING_DIRECT ||
            eo_interpreter_output_binding(interpreter, 0) != EO_BINDING_DIRECT)
            return fprintf(stderr, "frame %d was copied\n", i), 1;
        printf("frame %d: first output %g\n", i, (double)result[0]);
    }

    // Bound memory must live until it is unbound or the interpreter is gone.
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    free(result);
    for (int i = 0; i < FRAMES; i++) free(frames[i]);
    return 0;
}
