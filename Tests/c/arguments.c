// Every function survives NULL, and indices and sizes that are not there, and says what is wrong.
#include "test.h"

#define REFUSED(call)                                                                                                  \
    do {                                                                                                               \
        eo_status status = (call);                                                                                     \
        CHECK(status != EO_OK);                                                                                        \
        CHECK(strlen(eo_last_error()) > 10);                                                                           \
    } while (0)
#define INVALID(call) CHECK((call) == EO_INVALID_ARGUMENT && strlen(eo_last_error()) > 10)

static void statuses(void) {
    CHECK(strcmp(eo_status_name(EO_OK), "EO_OK") == 0);
    CHECK(strcmp(eo_status_name(EO_DELEGATE_ERROR), "EO_DELEGATE_ERROR") == 0);
    CHECK(strcmp(eo_status_name((eo_status)12345), "EO_UNKNOWN") == 0);
    CHECK(strcmp(eo_status_message(EO_CANCELLED), "the call was cancelled") == 0);
    CHECK(eo_status_message((eo_status)12345) != NULL);
    CHECK(strcmp(eo_type_name(EO_INT8), "INT8") == 0);
    CHECK(eo_type_name((eo_type)99) == NULL && eo_type_name((eo_type)-1) == NULL);
    CHECK(strcmp(eo_version(), "0.1.0") == 0);
    CHECK(strlen(eo_isa()) > 0);
    eo_free(NULL);
}

static void models_without_handle(void) {
    eo_model *model = (eo_model *)1;
    void *data;
    size_t size;
    int32_t index;
    char *text;
    const char *name;
    const void *bytes;
    eo_tensor tensor;
    eo_operator op;
    eo_signature signature;
    INVALID(eo_model_open(NULL, &model));
    CHECK(model == NULL);
    INVALID(eo_model_open(MODEL, NULL));
    INVALID(eo_model_from_memory(NULL, 8, EO_MEMORY_COPY, &model));
    INVALID(eo_model_from_memory("TFL3", 4, EO_MEMORY_COPY, NULL));
    INVALID(eo_model_from_memory("TFL3", 4, (eo_memory)7, &model));
    CHECK(eo_model_from_memory("0123TFL3", 8, EO_MEMORY_COPY, &model) == EO_INVALID_MODEL && model == NULL);
    CHECK(eo_model_open("/nowhere/no.tflite", &model) == EO_FILE_ERROR && strstr(eo_last_error(), "/nowhere"));
    CHECK(eo_model_open("/", &model) == EO_FILE_ERROR);
    eo_model_destroy(NULL);
    INVALID(eo_model_save(NULL, "x"));
    INVALID(eo_model_serialize(NULL, &data, &size));
    CHECK(eo_model_description(NULL) == NULL && eo_model_subgraph_name(NULL, 0) == NULL);
    CHECK(eo_model_subgraph_count(NULL) == 0 && eo_model_tensor_count(NULL, 0) == 0);
    CHECK(eo_model_operator_count(NULL, 0) == 0 && eo_model_input_count(NULL, 0) == 0);
    CHECK(eo_model_output_count(NULL, 0) == 0 && eo_model_signature_count(NULL) == 0);
    CHECK(eo_model_metadata_count(NULL) == 0);
    INVALID(eo_model_input(NULL, 0, 0, &index));
    INVALID(eo_model_output(NULL, 0, 0, &index));
    INVALID(eo_model_tensor(NULL, 0, 0, &tensor));
    INVALID(eo_model_operator(NULL, 0, 0, &op));
    INVALID(eo_model_signature(NULL, 0, &signature));
    INVALID(eo_model_metadata(NULL, 0, &name, &bytes, &size));
    INVALID(eo_model_operator_options(NULL, 0, 0, &text));
    INVALID(eo_model_set_description(NULL, "x", &model));
    INVALID(eo_model_rename_tensor(NULL, 0, 0, "x", &model));
    INVALID(eo_model_set_signature(NULL, &signature, &model));
    INVALID(eo_model_remove_signature(NULL, "x", &model));
    INVALID(eo_model_set_metadata(NULL, "x", "y", 1, &model));
}

static void models_without_the_rest(void) {
    eo_model *model = open_model(), *edited = (eo_model *)1;
    void *data;
    size_t size;
    int32_t index = 77;
    char *text;
    const char *name;
    const void *bytes;
    eo_tensor tensor;
    eo_operator op;
    eo_signature signature = {0};
    INVALID(eo_model_save(model, NULL));
    REFUSED(eo_model_save(model, "/nowhere/x.tflite"));
    INVALID(eo_model_serialize(model, NULL, &size));
    INVALID(eo_model_serialize(model, &data, NULL));
    CHECK(eo_model_subgraph_name(model, -1) == NULL && eo_model_subgraph_name(model, 99) == NULL);
    CHECK(eo_model_tensor_count(model, -1) == 0 && eo_model_tensor_count(model, 99) == 0);
    CHECK(eo_model_input(model, 0, 99, &index) == EO_OUT_OF_RANGE && index == 77);
    CHECK(eo_model_input(model, 5, 0, &index) == EO_OUT_OF_RANGE);
    CHECK(eo_model_output(model, 0, -1, &index) == EO_OUT_OF_RANGE);
    INVALID(eo_model_input(model, 0, 0, NULL));
    INVALID(eo_model_output(model, 0, 0, NULL));
    CHECK(eo_model_tensor(model, 0, 9999, &tensor) == EO_OUT_OF_RANGE);
    INVALID(eo_model_tensor(model, 0, 0, NULL));
    CHECK(eo_model_operator(model, 0, -5, &op) == EO_OUT_OF_RANGE);
    INVALID(eo_model_operator(model, 0, 0, NULL));
    CHECK(eo_model_signature(model, 1000, &signature) == EO_OUT_OF_RANGE);
    INVALID(eo_model_signature(model, 0, NULL));
    CHECK(eo_model_metadata(model, 1000, &name, &bytes, &size) == EO_OUT_OF_RANGE);
    INVALID(eo_model_metadata(model, 0, NULL, &bytes, &size));
    INVALID(eo_model_operator_options(model, 0, 0, NULL));
    CHECK(eo_model_operator_options(model, 0, 9999, &text) == EO_OUT_OF_RANGE);
    INVALID(eo_model_set_description(model, NULL, &edited));
    CHECK(edited == NULL);
    INVALID(eo_model_set_description(model, "x", NULL));
    CHECK(eo_model_rename_tensor(model, 0, 9999, "x", &edited) == EO_OUT_OF_RANGE);
    INVALID(eo_model_rename_tensor(model, 0, 0, NULL, &edited));
    INVALID(eo_model_set_signature(model, NULL, &edited));
    INVALID(eo_model_set_signature(model, &signature, &edited));
    CHECK(eo_model_remove_signature(model, "not there", &edited) == EO_OUT_OF_RANGE);
    INVALID(eo_model_set_metadata(model, NULL, "y", 1, &edited));
    INVALID(eo_model_set_metadata(model, "x", NULL, 1, &edited));
    eo_model_destroy(model);
}

static void interpreters(void) {
    eo_model *model = open_model();
    eo_interpreter *interpreter = (eo_interpreter *)1;
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    INVALID(eo_interpreter_create(NULL, NULL, &interpreter));
    CHECK(interpreter == NULL);
    INVALID(eo_interpreter_create(model, NULL, NULL));
    options.struct_size = 0;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    options.struct_size = sizeof options;
    options.num_threads = -1;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    options.num_threads = 1;
    options.arithmetic = (eo_arithmetic)9;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    options.arithmetic = EO_ARITHMETIC_FAST;
    options.signature = "not there";
    CHECK(eo_interpreter_create(model, &options, &interpreter) == EO_OUT_OF_RANGE);
    options.signature = NULL;
    options.keep_count = 1;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    const char *keep[] = {"no such tensor"};
    options.keep = keep;
    CHECK(eo_interpreter_create(model, &options, &interpreter) == EO_OUT_OF_RANGE);
    options.keep_count = 0;
    options.delegate_count = 1;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    eo_delegate delegate = {.struct_size = sizeof delegate, .abi = 999, .name = "x"};
    const eo_delegate *delegates[] = {&delegate};
    options.delegates = delegates;
    INVALID(eo_interpreter_create(model, &options, &interpreter));
    delegate.abi = EO_DELEGATE_ABI;
    INVALID(eo_interpreter_create(model, &options, &interpreter));

    eo_tensor tensor;
    eo_operator_report report;
    int32_t shape[] = {1};
    eo_interpreter_destroy(NULL);
    CHECK(eo_interpreter_input_count(NULL) == 0 && eo_interpreter_output_count(NULL) == 0);
    CHECK(eo_interpreter_input_index(NULL, "x") == -1 && eo_interpreter_output_index(NULL, "x") == -1);
    CHECK(eo_interpreter_input_name(NULL, 0) == NULL && eo_interpreter_output_name(NULL, 0) == NULL);
    INVALID(eo_interpreter_input(NULL, 0, &tensor));
    INVALID(eo_interpreter_output(NULL, 0, &tensor));
    INVALID(eo_interpreter_tensor(NULL, 0, &tensor));
    CHECK(eo_interpreter_tensor_count(NULL) == 0 && eo_interpreter_operator_count(NULL) == 0);
    INVALID(eo_interpreter_resize_input(NULL, 0, shape, 1));
    INVALID(eo_interpreter_resize_inputs(NULL, shape, shape, 1));
    INVALID(eo_interpreter_bind_input(NULL, 0, &tensor, 4));
    INVALID(eo_interpreter_bind_output(NULL, 0, &tensor, 4));
    CHECK(eo_interpreter_input_binding(NULL, 0) == EO_BINDING_ARENA);
    CHECK(eo_interpreter_output_binding(NULL, 0) == EO_BINDING_ARENA);
    INVALID(eo_interpreter_invoke(NULL));
    eo_interpreter_cancel(NULL);
    INVALID(eo_interpreter_reset_variables(NULL));
    INVALID(eo_interpreter_set_num_threads(NULL, 1));
    CHECK(eo_interpreter_arena_size(NULL) == 0);
    INVALID(eo_interpreter_operator(NULL, 0, &report));
    eo_interpreter_set_profile(NULL, true);

    interpreter = create(model, NULL);
    CHECK(eo_interpreter_input_index(interpreter, NULL) == -1);
    CHECK(eo_interpreter_input_index(interpreter, "not there") == -1);
    CHECK(eo_interpreter_input_name(interpreter, 5) == NULL && eo_interpreter_output_name(interpreter, -1) == NULL);
    CHECK(eo_interpreter_input(interpreter, 5, &tensor) == EO_OUT_OF_RANGE);
    INVALID(eo_interpreter_input(interpreter, 0, NULL));
    CHECK(eo_interpreter_output(interpreter, -1, &tensor) == EO_OUT_OF_RANGE);
    INVALID(eo_interpreter_output(interpreter, 0, NULL));
    CHECK(eo_interpreter_tensor(interpreter, 9999, &tensor) == EO_OUT_OF_RANGE);
    INVALID(eo_interpreter_tensor(interpreter, 0, NULL));
    INVALID(eo_interpreter_resize_input(interpreter, 0, NULL, 4));
    CHECK(eo_interpreter_resize_input(interpreter, 0, shape, -1) == EO_WRONG_SIZE);
    CHECK(eo_interpreter_resize_input(interpreter, 9, shape, 1) == EO_OUT_OF_RANGE);
    shape[0] = -3;
    CHECK(eo_interpreter_resize_input(interpreter, 0, shape, 1) == EO_WRONG_SIZE);
    INVALID(eo_interpreter_resize_inputs(interpreter, shape, shape, 99));
    INVALID(eo_interpreter_resize_inputs(interpreter, shape, NULL, 1));
    float values[INPUTS];
    CHECK(eo_interpreter_bind_input(interpreter, 0, values, 12) == EO_WRONG_SIZE);
    CHECK(eo_interpreter_bind_input(interpreter, 3, values, sizeof values) == EO_OUT_OF_RANGE);
    CHECK(eo_interpreter_bind_output(interpreter, 0, values, sizeof values) == EO_WRONG_SIZE);
    CHECK(eo_interpreter_input_binding(interpreter, 99) == EO_BINDING_ARENA);
    INVALID(eo_interpreter_set_num_threads(interpreter, -4));
    CHECK(eo_interpreter_operator(interpreter, 9999, &report) == EO_OUT_OF_RANGE);
    INVALID(eo_interpreter_operator(interpreter, 0, NULL));
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
}

int main(void) {
    statuses();
    models_without_handle();
    models_without_the_rest();
    interpreters();
    return failures != 0;
}
