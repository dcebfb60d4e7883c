#include "formats.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
// jpeglib.h uses FILE and size_t without declaring them.
#include <jpeglib.h>

// libjpeg's default is to print and exit; this jumps back instead.
struct jpeg_failure {
    struct jpeg_error_mgr manager;
    jmp_buf back;
    char message[JMSG_LENGTH_MAX];
};

static void jpeg_fail(j_common_ptr state) {
    struct jpeg_failure *failure = (struct jpeg_failure *)state->err;
    failure->manager.format_message(state, failure->message);
    longjmp(failure->back, 1);
}

static void jpeg_stay_silent(j_common_ptr state, int level) {
    (void)state;
    (void)level;
}

static bool read_jpeg(FILE *file, int32_t channels, struct formats_image *image, char *error, size_t error_size) {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_failure failure;
    uint8_t *volatile pixels = NULL; // volatile: its value must survive the jump
    jpeg.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = jpeg_fail;
    failure.manager.emit_message = jpeg_stay_silent;
    if (setjmp(failure.back)) {
        snprintf(error, error_size, "%s", failure.message);
        jpeg_destroy_decompress(&jpeg);
        free(pixels);
        return false;
    }
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, file);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&jpeg);
    const size_t row_size = (size_t)jpeg.output_width * (size_t)channels;
    pixels = malloc(row_size * jpeg.output_height);
    if (!pixels || jpeg.output_components != channels) {
        snprintf(error, error_size, "cannot be decoded to %d channels", (int)channels);
        jpeg_destroy_decompress(&jpeg);
        free(pixels);
        return false;
    }
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = pixels + row_size * jpeg.output_scanline;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    *image = (struct formats_image){(int32_t)jpeg.output_width, (int32_t)jpeg.output_height, channels, pixels};
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return true;
}

static bool read_png(FILE *file, int32_t channels, struct formats_image *image, char *error, size_t error_size) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_stdio(&png, file)) {
        snprintf(error, error_size, "%s", png.message);
        return false;
    }
    png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    const png_color black = {0, 0, 0}; // what shows through transparent pixels
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(png));
    if (!pixels || !png_image_finish_read(&png, &black, pixels, 0, NULL)) {
        snprintf(error, error_size, "%s", pixels ? png.message : "memory ran out");
        png_image_free(&png);
        free(pixels);
        return false;
    }
    *image = (struct formats_image){(int32_t)png.width, (int32_t)png.height, channels, pixels};
    return true;
}

bool formats_read_image(const char *path, int32_t channels, struct formats_image *image, char *error,
                        size_t error_size) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(error, error_size, "%s", strerror(errno));
        return false;
    }
    uint8_t magic[8] = {0};
    const size_t count = fread(magic, 1, sizeof magic, file);
    rewind(file);
    bool done = false;
    if (count >= 2 && magic[0] == 0xff && magic[1] == 0xd8)
        done = read_jpeg(file, channels, image, error, error_size);
    else if (count == sizeof magic && png_sig_cmp(magic, 0, sizeof magic) == 0)
        done = read_png(file, channels, image, error, error_size);
    else
        snprintf(error, error_size, "is neither a JPEG nor a PNG image");
    fclose(file);
    return done;
}

bool formats_inflate(const void *data, size_t size, void *result, size_t result_size) {
    z_stream stream = {0};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) // negative: no zlib header, as in .zip files
        return false;
    // avail_in and avail_out are 32-bit: larger data goes through in pieces.
    const size_t piece = 1u << 30;
    const uint8_t *in = data;
    uint8_t *out = result;
    size_t in_left = size, out_left = result_size;
    int status = Z_OK;
    while (status == Z_OK) {
        const uInt in_now = (uInt)(in_left < piece ? in_left : piece);
        const uInt out_now = (uInt)(out_left < piece ? out_left : piece);
        stream.next_in = (Bytef *)in;
        stream.avail_in = in_now;
        stream.next_out = out;
        stream.avail_out = out_now;
        status = inflate(&stream, Z_NO_FLUSH); // Z_BUF_ERROR ends the loop when nothing moves any more
        in += in_now - stream.avail_in;
        in_left -= in_now - stream.avail_in;
        out += out_now - stream.avail_out;
        out_left -= out_now - stream.avail_out;
    }
    inflateEnd(&stream);
    return status == Z_STREAM_END && out_left == 0;
}

size_t formats_deflated_size(const void *data, size_t size) {
    uLongf deflated = compressBound(size);
    uint8_t *buffer = malloc(deflated);
    const bool done = buffer && compress2(buffer, &deflated, data, size, Z_BEST_COMPRESSION) == Z_OK;
    free(buffer);
    return done ? deflated : 0;
}
