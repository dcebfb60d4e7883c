// Everything the library asks of the operating system and the C library. Each `#if` for a platform is in platform.c.
#ifndef EDGEOPT_PLATFORM_H
#define EDGEOPT_PLATFORM_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

// Memory. Aligned blocks are released by platform_free.
void *_Nullable platform_aligned_alloc(size_t alignment, size_t size);
void platform_free(void *_Nullable block);
// Zeroed pages, released by platform_unmap. Of many megabytes the system is asked for large pages,
// unless it has been slow to give one.
void *_Nullable platform_pages(size_t size);
// Lets go of the memory that holds pages of a mapped file; they are read again when they are touched.
void platform_forget(const void *_Nonnull base, size_t size);

// Files. Each returns 0 or an errno value; platform_strerror puts its text into the caller's buffer.
// `identity` gets a number that another file, or other contents of this one, almost certainly do not have; never 0.
int platform_map_file(const char *_Nonnull path, void *_Nullable *_Nonnull base, size_t *_Nonnull size,
                      uint64_t *_Nonnull identity);
void platform_unmap(void *_Nonnull base, size_t size);
// Writes all parts, one after the other, to a temporary name beside `path`, then renames: all or nothing. A device
// is written to in place, a pipe is refused. `durable`: it returns when the disk has it; otherwise a power failure may
// leave anything under that name.
struct platform_part {
    const void *_Nullable base;
    size_t size;
};
int platform_write_file(const char *_Nonnull path, const struct platform_part *_Nonnull parts, size_t count,
                        bool durable);
// A seal says that a file's bytes are good, by its time of last change. Whoever writes to the file breaks it, and so
// does a restart of the machine: what a power failure leaves of a file is not known. `number` stands for the right
// bytes. Where times are too coarse, or belong to others, there are no seals.
void platform_seal(const char *_Nonnull path, uint64_t number);
bool platform_is_sealed(const char *_Nonnull path, uint64_t number);
void platform_strerror(int error, char *_Nonnull text, size_t size);

// Threads.
typedef struct platform_thread platform_thread;
platform_thread *_Nullable platform_thread_start(void (*_Nonnull body)(void *_Nullable), void *_Nullable context);
void platform_thread_join(platform_thread *_Nonnull thread); // also frees
int platform_cpu_count(void);
void platform_pause(void); // one spin of a waiting loop
void platform_yield(void); // lets another thread have the processor

typedef struct platform_mutex platform_mutex; // a mutex with one condition
platform_mutex *_Nullable platform_mutex_create(void);
void platform_mutex_destroy(platform_mutex *_Nonnull mutex);
void platform_mutex_lock(platform_mutex *_Nonnull mutex);
void platform_mutex_unlock(platform_mutex *_Nonnull mutex);
void platform_mutex_wait(platform_mutex *_Nonnull mutex); // until the condition is signalled; spurious wakes happen
void platform_mutex_broadcast(platform_mutex *_Nonnull mutex);

// The sentence of the last failure on this thread, "" if there was none; too long a text is cut.
void platform_set_error(const char *_Nonnull text, size_t length);
const char *_Nonnull platform_error(void);

// The words of edgeopt.h's version and status table.
const char *_Nonnull platform_version(void);
const char *_Nonnull platform_status_name(uint32_t status);
const char *_Nonnull platform_status_message(uint32_t status);

// Monotonic time in nanoseconds.
uint64_t platform_nanoseconds(void);

#pragma GCC visibility pop
#endif
