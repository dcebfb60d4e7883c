// A small complete delegate: it runs the ADD and MUL operators of a float32 model, and leaves the rest to the library.
//
//     delegate model.tflite
//
// A delegate for real hardware has the same five parts: it says which operators it takes (supports), builds whatever it
// needs for a part of the graph (prepare), computes it (invoke), follows new shapes (resize), and cleans up (release).
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What this delegate remembers of one operator: positions of its tensors in `memory` of the kernel below.
struct operation {
    bool is_product;
    size_t a, b, result;
};

// What prepare makes of a partition. Tensors are numbered: the partition's inputs, its outputs, then those in between.
struct kernel {
    int32_t operation_count, input_count, output_count;
    size_t elements; // all tensors of this delegate have the same shape
    struct operation *operations;
    int32_t *tensors; // model index of each number
    size_t tensor_count;
    float **memory; // where each tensor lies during an invoke
    float *between; // memory of the tensors in between
};

static size_t elements_of(const eo_tensor *tensor) {
    size_t count = 1;
    for (int32_t i = 0; i < tensor->rank; i++) count *= (size_t)tensor->shape[i];
    return count;
}

static bool same_shape(const eo_tensor *a, const eo_tensor *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

// Called once for each operator of the graph. Whatever is refused stays with the CPU; the reason appears in the report.
static bool supports(void *user, const eo_model *model, int32_t subgraph, int32_t index, const eo_tensor *inputs,
                     int32_t input_count, const eo_tensor *outputs, int32_t output_count, char *reason,
                     size_t reason_size) {
    (void)user;
    eo_operator op;
    if (eo_model_operator(model, subgraph, index, &op) != EO_OK) return false;
    if (strcmp(op.name, "ADD") != 0 && strcmp(op.name, "MUL") != 0) {
        snprintf(reason, reason_size, "only ADD and MUL are taken");
        return false;
    }
    char *options = NULL; // "fused_activation_function=NONE"
    bool is_plain = eo_model_operator_options(model, subgraph, index, &options) == EO_OK && !strstr(options, "RELU") &&
                    !strstr(options, "TANH") && !strstr(options, "SIGN");
    eo_free(options);
    if (!is_plain || input_count != 2 || output_count != 1 || outputs[0].type != EO_FLOAT32 ||
        inputs[0].type != EO_FLOAT32 || !same_shape(&inputs[0], &outputs[0]) || !same_shape(&inputs[1], &outputs[0])) {
        snprintf(reason, reason_size, "only float32 tensors of one shape without activation are taken");
        return false;
    }
    return true;
}

static void release(void *user, void *object) {
    (void)user;
    struct kernel *kernel = object;
    free(kernel->operations);
    free(kernel->tensors);
    free(kernel->memory);
    free(kernel->between);
    free(kernel);
}

// The number of a model's tensor; new ones are appended.
static size_t number(struct kernel *kernel, int32_t tensor) {
    for (size_t i = 0; i < kernel->tensor_count; i++)
        if (kernel->tensors[i] == tensor) return i;
    kernel->tensors[kernel->tensor_count] = tensor;
    return kernel->tensor_count++;
}

static eo_status set_elements(struct kernel *kernel, const eo_partition *partition) {
    size_t outside = (size_t)(kernel->input_count + kernel->output_count);
    kernel->elements = elements_of(&partition->outputs[0]);
    float *between = realloc(kernel->between, (kernel->tensor_count - outside) * kernel->elements * sizeof(float) + 1);
    if (!between) return EO_OUT_OF_MEMORY;
    kernel->between = between;
    for (size_t i = outside; i < kernel->tensor_count; i++)
        kernel->memory[i] = between + (i - outside) * kernel->elements;
    return EO_OK;
}

// Called once for each partition: a part of the graph with only operators that were taken.
static eo_status prepare(void *user, const eo_partition *partition, void **result, char *reason, size_t reason_size) {
    (void)user;
    size_t count = (size_t)partition->operator_count;
    size_t most = 3 * count + (size_t)(partition->input_count + partition->output_count);
    struct kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel) {
        kernel->operations = calloc(count, sizeof *kernel->operations);
        kernel->tensors = calloc(most, sizeof *kernel->tensors);
        kernel->memory = calloc(most, sizeof *kernel->memory);
    }
    if (!kernel || !kernel->operations || !kernel->tensors || !kernel->memory) {
        snprintf(reason, reason_size, "out of memory");
        if (kernel) release(user, kernel);
        return EO_OUT_OF_MEMORY;
    }
    kernel->input_count = partition->input_count;
    kernel->output_count = partition->output_count;
    for (int32_t i = 0; i < partition->input_count; i++) number(kernel, partition->inputs[i].index);
    for (int32_t i = 0; i < partition->output_count; i++) number(kernel, partition->outputs[i].index);
    for (size_t i = 0; i < count; i++) {
        eo_operator op;
        eo_model_operator(partition->model, partition->subgraph, partition->operators[i], &op);
        kernel->operations[i] = (struct operation){strcmp(op.name, "MUL") == 0, number(kernel, op.inputs[0]),
                                                   number(kernel, op.inputs[1]), number(kernel, op.outputs[0])};
    }
    kernel->operation_count = partition->operator_count;
    if (set_elements(kernel, partition) != EO_OK) {
        release(user, kernel);
        return EO_OUT_OF_MEMORY;
    }
    *result = kernel;
    return EO_OK;
}

// The same partition with other shapes. Leave this function out, and the library releases and prepares instead.
static eo_status resize(void *user, void *object, const eo_partition *partition, char *reason, size_t reason_size) {
    (void)user, (void)reason, (void)reason_size;
    return set_elements(object, partition);
}

// Computes the partition: buffers come in the order of the partition's inputs and outputs.
static eo_status invoke(void *user, void *object, const eo_buffer *inputs, const eo_buffer *outputs) {
    (void)user;
    struct kernel *kernel = object;
    for (int32_t i = 0; i < kernel->input_count; i++) kernel->memory[i] = inputs[i].data;
    for (int32_t i = 0; i < kernel->output_count; i++) kernel->memory[kernel->input_count + i] = outputs[i].data;
    for (int32_t i = 0; i < kernel->operation_count; i++) {
        const struct operation *op = &kernel->operations[i];
        const float *a = kernel->memory[op->a], *b = kernel->memory[op->b];
        float *result = kernel->memory[op->result];
        for (size_t k = 0; k < kernel->elements; k++) result[k] = op->is_product ? a[k] * b[k] : a[k] + b[k];
    }
    return EO_OK;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s model.tflite\n", argv[0]), 2;

    const eo_delegate delegate = {.struct_size = sizeof delegate,
                                  .abi = EO_DELEGATE_ABI,
                                  .name = "add-mul",
                                  .supports = supports,
                                  .prepare = prepare,
                                  .invoke = invoke,
                                  .release = release,
                                  .resize = resize};
    const eo_delegate *delegates[] = {&delegate};
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.delegates = delegates;
    options.delegate_count = 1;

    eo_model *model = NULL;
    eo_interpreter *interpreter = NULL;
    if (eo_model_open(argv[1], &model) != EO_OK || eo_interpreter_create(model, &options, &interpreter) != EO_OK ||
        eo_interpreter_invoke(interpreter) != EO_OK)
        return fprintf(stderr, "%s\n", eo_last_error()), 1;

    int32_t taken = 0, count = eo_interpreter_operator_count(interpreter);
    for (int32_t i = 0; i < count; i++) {
        eo_operator_report report;
        if (eo_interpreter_operator(interpreter, i, &report) != EO_OK) break;
        printf("%3d %-24s %-8s %s\n", i, report.name, report.runner, report.reason);
        taken += strcmp(report.runner, "add-mul") == 0;
    }
    printf("the delegate runs %d of %d operators\n", taken, count);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return 0;
}
