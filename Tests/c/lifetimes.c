// Who owns what: destroying in any order, memory copied or borrowed, options of an older header, results of queries.
#define _GNU_SOURCE
#include "test.h"

static void scores_of(const eo_model *model, float *scores) {
    float image[INPUTS];
    fill(image, INPUTS, 7);
    eo_interpreter *interpreter = create(model, NULL);
    CHECK(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
    CHECK(eo_interpreter_bind_output(interpreter, 0, scores, OUTPUTS * sizeof *scores) == EO_OK);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
}

static void interpreter_outlives_model(void) {
    eo_model *model = open_model();
    eo_interpreter *first = create(model, NULL), *second = create(model, NULL);
    eo_model_destroy(model);
    CHECK(eo_interpreter_invoke(first) == EO_OK);
    eo_interpreter_destroy(first);
    CHECK(eo_interpreter_invoke(second) == EO_OK);
    eo_interpreter_destroy(second);
}

static void memory_and_files(void) {
    eo_model *model = open_model(), *other = NULL;
    float expected[OUTPUTS], scores[OUTPUTS];
    scores_of(model, expected);
    void *data = NULL;
    size_t size = 0;
    REQUIRE(eo_model_serialize(model, &data, &size) == EO_OK && size > 1000);
    for (int mode = EO_MEMORY_COPY; mode <= EO_MEMORY_BORROW; mode++) {
        char *copy = malloc(size);
        memcpy(copy, data, size);
        REQUIRE(eo_model_from_memory(copy, size, (eo_memory)mode, &other) == EO_OK);
        if (mode == EO_MEMORY_COPY) memset(copy, 0, size);
        eo_tensor weights = {0};
        bool found = false;
        for (int32_t i = 0; i < eo_model_tensor_count(other, 0); i++)
            if (eo_model_tensor(other, 0, i, &weights) == EO_OK && weights.data && weights.size > 100) {
                found = true;
                bool is_inside = (char *)weights.data >= copy && (char *)weights.data < copy + size;
                CHECK(is_inside == (mode == EO_MEMORY_BORROW));
            }
        CHECK(found);
        scores_of(other, scores);
        CHECK(memcmp(expected, scores, sizeof scores) == 0);
        eo_model_destroy(other);
        free(copy);
    }
    // Bytes at an odd address are accepted.
    char *odd = malloc(size + 1);
    memcpy(odd + 1, data, size);
    REQUIRE(eo_model_from_memory(odd + 1, size, EO_MEMORY_BORROW, &other) == EO_OK);
    scores_of(other, scores);
    CHECK(memcmp(expected, scores, sizeof scores) == 0);
    eo_model_destroy(other);
    free(odd);

    char path[] = "/tmp/edgeopt-lifetimes-XXXXXX";
    REQUIRE(mkstemp(path) >= 0);
    REQUIRE(eo_model_save(model, path) == EO_OK);
    REQUIRE(eo_model_open(path, &other) == EO_OK);
    remove(path);
    scores_of(other, scores);
    CHECK(memcmp(expected, scores, sizeof scores) == 0);
    eo_model_destroy(other);
    eo_free(data);
    eo_model_destroy(model);
}

// Only as many bytes as the struct of the caller's header has are read.
static void older_options(void) {
    eo_model *model = open_model();
    struct {
        eo_interpreter_options options;
    } all = {EO_INTERPRETER_OPTIONS_INIT};
    memset((char *)&all + offsetof(eo_interpreter_options, signature), 0xab,
           sizeof all - offsetof(eo_interpreter_options, signature));
    all.options.struct_size = offsetof(eo_interpreter_options, signature);
    eo_interpreter *interpreter = create(model, &all.options);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
    // A newer header has more fields; those are not known here.
    struct {
        eo_interpreter_options options;
        char future[64];
    } newer = {EO_INTERPRETER_OPTIONS_INIT, {0}};
    newer.options.struct_size = sizeof newer;
    interpreter = create(model, &newer.options);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
}

static void edits(void) {
    eo_model *model = open_model(), *edited = NULL, *again = NULL;
    REQUIRE(eo_model_set_description(model, "edited here", &edited) == EO_OK);
    CHECK(strcmp(eo_model_description(edited), "edited here") == 0);
    CHECK(strcmp(eo_model_description(model), "edited here") != 0);
    int32_t input = -1, output = -1;
    REQUIRE(eo_model_input(model, 0, 0, &input) == EO_OK && eo_model_output(model, 0, 0, &output) == EO_OK);
    REQUIRE(eo_model_rename_tensor(edited, 0, input, "image", &again) == EO_OK);
    eo_model_destroy(edited);
    eo_tensor tensor;
    CHECK(eo_model_tensor(again, 0, input, &tensor) == EO_OK && strcmp(tensor.name, "image") == 0);

    const char *in[] = {"pixels"}, *out[] = {"digits"};
    eo_signature signature = {"classify", 0, 1, in, &input, 1, out, &output};
    REQUIRE(eo_model_set_signature(again, &signature, &edited) == EO_OK);
    eo_model_destroy(again);
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.signature = "classify";
    eo_interpreter *interpreter = create(edited, &options);
    CHECK(eo_interpreter_input_index(interpreter, "pixels") == 0);
    CHECK(strcmp(eo_interpreter_output_name(interpreter, 0), "digits") == 0);
    eo_interpreter_destroy(interpreter);
    REQUIRE(eo_model_remove_signature(edited, "classify", &again) == EO_OK);
    eo_model_destroy(edited);

    REQUIRE(eo_model_set_metadata(again, "author", "me", 2, &edited) == EO_OK);
    const char *name = NULL;
    const void *data = NULL;
    size_t size = 0;
    int32_t count = eo_model_metadata_count(edited);
    CHECK(count == eo_model_metadata_count(again) + 1);
    CHECK(eo_model_metadata(edited, count - 1, &name, &data, &size) == EO_OK);
    CHECK(strcmp(name, "author") == 0 && size == 2 && memcmp(data, "me", 2) == 0);
    eo_model_destroy(again);
    REQUIRE(eo_model_set_metadata(edited, "author", NULL, 0, &again) == EO_OK);
    CHECK(eo_model_metadata_count(again) == count - 1);
    eo_model_destroy(edited);
    eo_model_destroy(again);
    eo_model_destroy(model);
}

static void looking(void) {
    eo_model *model = open_model();
    CHECK(eo_model_subgraph_count(model) == 1 && eo_model_input_count(model, 0) == 1);
    CHECK(eo_model_output_count(model, 0) == 1 && eo_model_operator_count(model, 0) > 3);
    eo_operator op;
    bool has_convolution = false;
    for (int32_t i = 0; i < eo_model_operator_count(model, 0); i++) {
        REQUIRE(eo_model_operator(model, 0, i, &op) == EO_OK);
        char *text = NULL;
        REQUIRE(eo_model_operator_options(model, 0, i, &text) == EO_OK && text);
        if (strcmp(op.name, "CONV_2D") == 0) {
            has_convolution = true;
            CHECK(op.input_count == 3 && op.output_count == 1 && op.builtin_code == 3 && !op.is_custom);
            CHECK(strstr(text, "stride_w=") != NULL);
        }
        eo_free(text);
    }
    CHECK(has_convolution);
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.keep_all = true;
    eo_interpreter *interpreter = create(model, &options);
    CHECK(eo_interpreter_arena_size(interpreter) > 0);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_tensor tensor;
    for (int32_t i = 0; i < eo_interpreter_tensor_count(interpreter); i++)
        CHECK(eo_interpreter_tensor(interpreter, i, &tensor) == EO_OK && tensor.data != NULL);
    const eo_operator_report empty = {0};
    eo_operator_report report = empty;
    CHECK(eo_interpreter_operator(interpreter, 0, &report) == EO_OK && strlen(report.runner) > 0);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
}

int main(void) {
    interpreter_outlives_model();
    memory_and_files();
    older_options();
    edits();
    looking();
    return failures != 0;
}
