// Steps of integer LSTM cells: every row has the bits of its scalar twin.
#include "check.h"

#include <math.h>

static struct eo_fixed_factor factor(int32_t low, int32_t high) {
    return (struct eo_fixed_factor){number(0, 9) == 0 ? 0 : number(1 << 30, INT32_MAX), number(low, high)};
}

static struct block sums(size_t count) {
    static const float special[] = {NAN, INFINITY, -INFINITY, 0x1p40f, -0.0f};
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        ((float *)block.base)[i] = number(0, 50) == 0 ? special[number(0, 4)] : (float)number(-300000, 300000);
    return block;
}

static struct block words(size_t count) {
    struct block block = block_of(count * sizeof(int16_t));
    for (size_t i = 0; i < count; i++) ((int16_t *)block.base)[i] = (int16_t)often(-32768, 32767);
    return block;
}

static void step_case(size_t cells, int first_gate, bool has_peepholes, bool is_first) {
    int count;
    const eo_lstm_step_kernel *rows = eo_lstm_step_rows(&count), *twin = rows + count - 1;
    struct eo_lstm layer = {.cells = cells, .first_gate = first_gate, .cell_exponent = number(-15, -9)};
    layer.cell_low = -number(0, 32768), layer.cell_high = number(0, 32767), layer.hidden = factor(-24, -20);
    struct block peepholes = words(cells);
    for (int gate = 0; gate < 4; gate++)
        layer.gate[gate] = (struct eo_lstm_gate){.input_steps = gate == 1 ? 1 : 0.3f,
                                                 .recurrent_steps = 1,
                                                 .input = factor(-6, 1),
                                                 .recurrent = factor(-6, 1),
                                                 .peephole = factor(-16, -10),
                                                 .peepholes = has_peepholes && gate != 2 ? peepholes.base : NULL};
    struct block input = sums(cells * (4 - (size_t)first_gate)), recurrent = sums(cells * (4 - (size_t)first_gate));
    struct block cell = words(cells), expected = block_copy(cell.base, cell.size), y = block_of(4 * cells);
    const float *before = is_first ? NULL : recurrent.base;
    twin->run(&layer, input.base, before, expected.base, y.base);
    for (const eo_lstm_step_kernel *kernel = rows; kernel < twin; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        struct block found = block_copy(cell.base, cell.size), output = block_of(y.size);
        kernel->run(&layer, input.base, before, found.base, output.base);
        check(memcmp(found.base, expected.base, cell.size) == 0 && memcmp(output.base, y.base, y.size) == 0,
              kernel->name, "%zu cells from gate %d", cells, first_gate);
        block_free(&found), block_free(&output);
    }
    digest(expected.base, expected.size), digest(y.base, y.size);
    block_free(&peepholes), block_free(&input), block_free(&recurrent), block_free(&cell), block_free(&expected);
    block_free(&y);
}

void test_lstm(void) {
    for (size_t cells = 1; cells <= 150; cells += cells < 20 ? 1 : 13)
        for (int form = 0; form < 16; form++) step_case(cells, form & 1, form & 2, form & 4);
    int count;
    const eo_lstm_step_kernel *rows = eo_lstm_step_rows(&count);
    for (int i = 0; i + 1 < count; i++)
        if (kernels_isa_available(rows[i].isa)) compared(rows[i].name, NULL);
}
