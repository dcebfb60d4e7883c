// What the command reads through C libraries: JPEG (libjpeg), PNG (libpng), deflated data (zlib).
#ifndef EDGEOPT_FORMATS_H
#define EDGEOPT_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct formats_image {
    int32_t width, height, channels;
    uint8_t *_Nullable pixels; // height x width x channels; caller owns: free
};

// Decodes a JPEG or PNG file to grey (channels 1) or RGB (channels 3). On failure `error` gets a sentence.
bool formats_read_image(const char *_Nonnull path, int32_t channels, struct formats_image *_Nonnull image,
                        char *_Nonnull error, size_t error_size);

// Inflates a raw deflate stream of `size` bytes to exactly `result_size` bytes; false if it does not give that many.
bool formats_inflate(const void *_Nonnull data, size_t size, void *_Nonnull result, size_t result_size);
// How many bytes `data` takes deflated at the highest level; 0 if memory ran out.
size_t formats_deflated_size(const void *_Nonnull data, size_t size);

#endif
