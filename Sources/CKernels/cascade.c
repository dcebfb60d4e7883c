#include "cascade.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_up(size_t size) { return (size + 63) / 64 * 64; }

// Lines of an image, from `first` up to `end`.
struct lines {
    size_t first, end;
};

static const struct eo_window *window(const struct eo_cascade_stage *s) {
    return s->is_depthwise ? &s->depthwise.window : &s->convolution.window;
}

static size_t input_line(const struct eo_cascade_stage *s) {
    const struct eo_window *w = window(s);
    return w->input_width * w->input_channels *
           (s->is_depthwise ? s->depthwise.input_element_size : s->convolution.input_element_size);
}

static size_t output_line(const struct eo_cascade_stage *s) {
    const struct eo_window *w = window(s);
    return w->output_width * w->output_channels *
           (s->is_depthwise ? s->depthwise.output_element_size : s->convolution.output_element_size);
}

static size_t kernel_span(const struct eo_window *w) { return (w->kernel_height - 1) * w->dilation_height + 1; }

// The input lines under output lines.
static struct lines lines_under(const struct eo_window *w, struct lines output) {
    const size_t first = output.first * w->stride_height, end = (output.end - 1) * w->stride_height + kernel_span(w);
    return (struct lines){first > w->padding_top ? smaller(first - w->padding_top, w->input_height) : 0,
                          end > w->padding_top ? smaller(end - w->padding_top, w->input_height) : 0};
}

// Lines of the last stage's output to compute at once: the most for which what is kept takes `size` bytes.
static size_t kept_size(const struct eo_cascade *c, size_t count) {
    size_t size = 0;
    for (size_t i = c->count; i-- > 0;) {
        const struct eo_window *w = window(&c->stages[i]);
        c->stages[i].lines = smaller(count, w->output_height);
        if (i + 1 < c->count) size += round_up(c->stages[i].lines * output_line(&c->stages[i]));
        count = (count - 1) * w->stride_height + kernel_span(w);
    }
    return size;
}

void eo_cascade_plan(struct eo_cascade *c, size_t size) {
    const size_t height = window(&c->stages[c->count - 1])->output_height;
    size_t lines = 1;
    while (lines < height && kept_size(c, lines + 1) <= size) lines++;
    size_t offset = kept_size(c, lines);
    for (size_t i = 0, kept = 0; i < c->count; i++) {
        struct eo_cascade_stage *s = &c->stages[i];
        s->lines_offset = kept;
        kept += round_up(s->lines * output_line(s));
        s->scratch = offset;
        offset += round_up(s->is_depthwise ? s->depthwise.slot_size : s->convolution.slot_size);
    }
    c->slot_size = offset;
}

static size_t units_of_image(const struct eo_cascade *c) {
    return (window(&c->stages[c->count - 1])->output_height + c->unit_lines - 1) / c->unit_lines;
}

size_t eo_cascade_start(struct eo_cascade *c, size_t workers) {
    const struct eo_window *w = window(&c->stages[c->count - 1]);
    // The lines at the edge of a unit are computed twice.
    c->unit_lines = workers > 1 ? (w->output_height + workers - 1) / workers : w->output_height;
    const size_t units = units_of_image(c) * w->batch;
    c->workers = smaller(workers, units);
    return units;
}

// Output lines `output` of a stage to `to`; `from` is input line `first`. `operand`: the whole one.
static void run_lines(const struct eo_cascade_stage *s, const char *from, size_t first, struct lines output, char *to,
                      const void *operand, char *slot) {
    struct eo_window w = *window(s);
    const size_t top = output.first * w.stride_height, begin = top > w.padding_top ? top - w.padding_top : 0;
    w.padding_top -= smaller(w.padding_top, top);
    w.batch = 1;
    w.input_height -= begin;
    w.output_height = output.end - output.first;
    from += (begin - first) * input_line(s);
    if (s->is_depthwise) {
        struct eo_depthwise d = s->depthwise;
        d.window = w, d.input = from, d.output = to, d.scratch = slot + s->scratch, d.finish.operand = operand;
        const size_t units = eo_depthwise_start(&d, 1);
        for (size_t unit = 0; unit < units; unit++) eo_depthwise_work(&d, unit, 0);
    } else {
        struct eo_convolution d = s->convolution;
        d.window = w, d.input = from, d.output = to, d.scratch = slot + s->scratch, d.finish.operand = operand;
        const size_t units = eo_convolution_start(&d, 1);
        for (size_t unit = 0; unit < units; unit++) eo_convolution_work(&d, unit, 0);
    }
}

// Output lines `unit` of an image.
static void run_unit(const struct eo_cascade *c, size_t image, struct lines unit, char *slot) {
    const struct eo_cascade_stage *s = c->stages;
    const size_t last = c->count - 1, step = s[last].lines;
    const char *input = (const char *)c->input + image * window(&s[0])->input_height * input_line(&s[0]);
    struct lines kept[EO_CASCADE_STAGES] = {0}, wanted[EO_CASCADE_STAGES];
    for (size_t y = unit.first; y < unit.end; y += step) {
        wanted[last] = (struct lines){y, smaller(unit.end, y + step)};
        for (size_t i = last; i > 0; i--) wanted[i - 1] = lines_under(window(&s[i]), wanted[i]);
        const char *from = input;
        size_t first = 0;
        for (size_t i = 0; i < last; i++) {
            char *lines = slot + s[i].lines_offset;
            const size_t line = output_line(&s[i]), begin = wanted[i].first;
            const size_t there = kept[i].end > begin ? smaller(kept[i].end, wanted[i].end) - begin : 0;
            if (there > 0) memmove(lines, lines + (begin - kept[i].first) * line, there * line);
            const struct lines missing = {begin + there, wanted[i].end};
            if (missing.first < missing.end) run_lines(&s[i], from, first, missing, lines + there * line, NULL, slot);
            kept[i] = wanted[i];
            from = lines, first = begin;
        }
        const size_t line = output_line(&s[last]);
        const size_t at = (image * window(&s[last])->output_height + y) * line;
        run_lines(&s[last], from, first, wanted[last], (char *)c->output + at,
                  c->operand ? (const char *)c->operand + at : NULL, slot);
    }
}

void eo_cascade_work(const struct eo_cascade *c, size_t unit, size_t worker) {
    const size_t per_image = units_of_image(c), first = unit % per_image * c->unit_lines;
    const struct lines lines = {first, smaller(window(&c->stages[c->count - 1])->output_height, first + c->unit_lines)};
    run_unit(c, unit / per_image, lines, (char *)c->scratch + worker * c->slot_size);
}
