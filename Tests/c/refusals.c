// Damaged copies of a model are refused or used, and leave no memory behind: the program is linked with a detector of
// leaks where the compiler has one, which looks when it ends.
#include "test.h"

enum { COPIES = 600, EDGE = 3000 };

static void quantize(const eo_model *model, eo_scheme scheme, eo_model **made) {
    eo_quantizer_options options = EO_QUANTIZER_OPTIONS_INIT;
    options.scheme = scheme;
    eo_quantizer *quantizer = NULL;
    if (eo_quantizer_create(model, &options, &quantizer) != EO_OK) return;
    static const float sample[INPUTS];
    const void *data[] = {sample};
    const size_t sizes[] = {sizeof sample};
    if (scheme != EO_SCHEME_INT8 || eo_quantizer_calibrate(quantizer, data, sizes, 1) == EO_OK)
        eo_quantizer_finish(quantizer, made);
    eo_quantizer_destroy(quantizer);
}

static void train(const eo_model *model, eo_model **made) {
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    eo_trainer *trainer = NULL;
    if (eo_trainer_create(model, &options, &trainer) == EO_OK) eo_trainer_export(trainer, made);
    eo_trainer_destroy(trainer);
}

static int run(const eo_model *model) {
    eo_interpreter *interpreter = NULL;
    int ran = eo_interpreter_create(model, NULL, &interpreter) == EO_OK && eo_interpreter_invoke(interpreter) == EO_OK;
    eo_interpreter_destroy(interpreter);
    return ran;
}

static int use(const eo_model *model, int way) {
    eo_model *made = NULL;
    int ran = run(model);
    switch (way) {
    case 0:
        quantize(model, EO_SCHEME_INT8, &made);
        break;
    case 1:
        quantize(model, EO_SCHEME_DYNAMIC_RANGE, &made);
        break;
    case 2:
        train(model, &made);
        break;
    case 3:
        eo_prune(model, NULL, &made);
        break;
    case 4:
        eo_prune_channels(model, NULL, &made);
        break;
    case 5:
        eo_cluster(model, NULL, &made);
        break;
    }
    eo_model *again = NULL;
    if (made) run(made), quantize(made, EO_SCHEME_INT8, &again); // what is quantized is not quantized again
    eo_model_destroy(again);
    eo_model_destroy(made);
    return ran;
}

static unsigned chance(unsigned below) {
    static unsigned seed = 1;
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % below;
}

int main(void) {
    eo_model *model = open_model();
    unsigned char *whole = NULL;
    size_t size = 0;
    REQUIRE(eo_model_serialize(model, (void **)&whole, &size) == EO_OK && size > 2 * EDGE);
    eo_model_destroy(model);
    unsigned char *copy = malloc(size);
    REQUIRE(copy);
    int opened = 0, ran = 0;
    for (int i = 0; i < COPIES; i++) {
        memcpy(copy, whole, size);
        // The structure is near both ends.
        for (unsigned changes = chance(3) + 1; changes > 0; changes--) {
            size_t place = chance(EDGE);
            copy[chance(2) ? place : size - 1 - place] = (unsigned char)(chance(2) ? chance(4) : chance(256));
        }
        if (eo_model_from_memory(copy, size, EO_MEMORY_COPY, &model) != EO_OK) continue;
        opened++;
        ran += use(model, i % 6);
        eo_model_destroy(model);
    }
    printf("%d copies, %d opened, %d ran\n", COPIES, opened, ran);
    CHECK(opened > 0 && opened < COPIES && ran > 0 && ran < opened);
    free(copy);
    eo_free(whole);
    return failures != 0;
}
