#define _GNU_SOURCE
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

void *platform_aligned_alloc(size_t alignment, size_t size) {
    void *block = NULL;
    return posix_memalign(&block, alignment, size ? size : 1) == 0 ? block : NULL;
}

void platform_free(void *block) { free(block); }

#ifdef MADV_HUGEPAGE
enum { LARGE_PAGE = 2 << 20 };

// Asks for large pages, at least one of them whole: fewer entries in the processor's table of pages, and one page fault
// instead of 512. The first is touched, for the system may have none at hand: it moves other pages to make one, or, in
// a virtual machine, waits for the host. If that takes twice as long as 512 small pages do (1 ms), the others are
// small, and nobody asks again for a second.
static void ask_for_large_pages(char *pages, size_t size) {
    static const uint64_t most = 2000000, pause = 1000000000;
    static _Atomic uint64_t again;
    const uint64_t start = platform_nanoseconds();
    if (start < again) return;
    madvise(pages, size, MADV_HUGEPAGE);
    *(volatile char *)(((uintptr_t)pages + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE) = 0;
    const uint64_t end = platform_nanoseconds();
    if (end - start < most) return;
    again = end + pause;
    madvise(pages, size, MADV_NOHUGEPAGE);
}
#endif

void *platform_pages(size_t size) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    // Less would be mostly the unused end of the last large page.
    if (size >= 2 * (size_t)LARGE_PAGE) ask_for_large_pages(pages, size);
#endif
    return pages;
}

void platform_forget(const void *base, size_t size) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)base + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)base + size) / page * page;
    if (end > first) madvise((void *)first, end - first, MADV_DONTNEED);
}

// Device, file, size, and the times of the last changes of its contents and of its entry: what git and ninja go by.
static uint64_t identity_of(const struct stat *status) {
    const uint64_t facts[] = {
        (uint64_t)status->st_dev,          (uint64_t)status->st_ino,          (uint64_t)status->st_size,
        (uint64_t)status->st_mtim.tv_sec,  (uint64_t)status->st_mtim.tv_nsec, (uint64_t)status->st_ctim.tv_sec,
        (uint64_t)status->st_ctim.tv_nsec,
    };
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        hash = (hash ^ facts[i]) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash ? hash : 1;
}

int platform_map_file(const char *path, void **base, size_t *size, uint64_t *identity) {
    // Without O_NONBLOCK a pipe would have to be opened at its other end, too, to be told that it is none of ours.
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return errno;
    struct stat status;
    int error = fstat(file, &status) == 0 ? 0 : errno;
    if (error == 0 && !S_ISREG(status.st_mode)) error = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    *base = NULL;
    *size = 0;
    *identity = error == 0 ? identity_of(&status) : 1;
    if (error == 0 && status.st_size > 0) {
        void *view = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (view == MAP_FAILED) {
            error = errno;
        } else {
            *base = view;
            *size = (size_t)status.st_size;
        }
    }
    close(file);
    return error;
}

void platform_unmap(void *base, size_t size) { munmap(base, size); }

static int write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(file, bytes, size);
        if (written < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

// A new file beside `path`, whose name is completed behind its dot.
static int open_beside(char *temporary, char *digits) {
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(digits, 9, "%08x", (unsigned)now.tv_nsec * 31 + (unsigned)getpid() + attempt * 0x9e3779b9u);
        // Not mkostemp: its permissions would have to be widened by the umask, which can only be read by changing it
        // for all threads.
        int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST) return file;
    }
    return -1;
}

static int write_parts(int file, const struct platform_part *parts, size_t count, bool durable) {
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) error = write_all(file, parts[i].base, parts[i].size);
    if (error == 0 && durable && fsync(file) != 0) error = errno;
    if (close(file) != 0 && error == 0) error = errno;
    return error;
}

int platform_write_file(const char *path, const struct platform_part *parts, size_t count, bool durable) {
    struct stat status;
    const bool exists = stat(path, &status) == 0;
    // A file in the place of /dev/null would be the end of it. Whoever closes the other end of a pipe ends the process.
    if (exists && S_ISCHR(status.st_mode)) {
        int file = open(path, O_WRONLY | O_CLOEXEC);
        return file < 0 ? errno : write_parts(file, parts, count, false);
    }
    if (exists && !S_ISREG(status.st_mode)) return S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    // A link stays one.
    char *target = exists ? realpath(path, NULL) : NULL;
    const char *place = target ? target : path;
    size_t length = strlen(place);
    char *temporary = malloc(length + 10);
    int error = temporary ? 0 : ENOMEM;
    if (error == 0) {
        memcpy(temporary, place, length);
        temporary[length] = '.';
        int file = open_beside(temporary, temporary + length + 1);
        error = file < 0 ? errno : write_parts(file, parts, count, durable);
        if (error == 0 && rename(temporary, place) != 0) error = errno;
        if (error != 0 && file >= 0) unlink(temporary);
    }
    free(temporary);
    free(target);
    return error;
}

// The nanoseconds of a sealed file's time of change; -1: there is nothing to tell one start of the machine from others.
static long seal_of(uint64_t number) {
    char start[36];
    const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t size = file < 0 ? 0 : read(file, start, sizeof start);
    if (file >= 0) close(file);
    for (ssize_t i = 0; i < size; i++) number = (number ^ (unsigned char)start[i]) * 0x9e3779b97f4a7c15;
    return size == sizeof start ? (long)((number >> 32) % 1000000000) : -1;
}

void platform_seal(const char *path, uint64_t number) {
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {time(NULL), seal_of(number)}};
    struct stat status;
    if (times[1].tv_nsec < 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return;
    utimensat(AT_FDCWD, path, times, 0);
}

bool platform_is_sealed(const char *path, uint64_t number) {
    struct stat status;
    return stat(path, &status) == 0 && status.st_mtim.tv_nsec == seal_of(number);
}

void platform_strerror(int error, char *text, size_t size) {
    const char *message = strerror_r(error, text, size);
    if (message != text && size > 0) snprintf(text, size, "%s", message);
}

struct platform_thread {
    pthread_t handle;
    void (*body)(void *);
    void *context;
};

static void *thread_main(void *argument) {
    platform_thread *thread = argument;
    thread->body(thread->context);
    return NULL;
}

platform_thread *platform_thread_start(void (*body)(void *), void *context) {
    platform_thread *thread = malloc(sizeof *thread);
    if (!thread) return NULL;
    thread->body = body;
    thread->context = context;
    if (pthread_create(&thread->handle, NULL, thread_main, thread) != 0) {
        free(thread);
        return NULL;
    }
    return thread;
}

void platform_thread_join(platform_thread *thread) {
    pthread_join(thread->handle, NULL);
    free(thread);
}

int platform_cpu_count(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

void platform_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void platform_yield(void) { sched_yield(); }

static _Thread_local char last_error[4096];

void platform_set_error(const char *text, size_t length) {
    if (length >= sizeof last_error) {
        length = sizeof last_error - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--; // not inside a UTF-8 sequence
    }
    memcpy(last_error, text, length);
    last_error[length] = '\0';
}

const char *platform_error(void) { return last_error; }

struct platform_mutex {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

platform_mutex *platform_mutex_create(void) {
    platform_mutex *mutex = malloc(sizeof *mutex);
    if (!mutex) return NULL;
    pthread_mutex_init(&mutex->mutex, NULL);
    pthread_cond_init(&mutex->condition, NULL);
    return mutex;
}

void platform_mutex_destroy(platform_mutex *mutex) {
    pthread_cond_destroy(&mutex->condition);
    pthread_mutex_destroy(&mutex->mutex);
    free(mutex);
}

void platform_mutex_lock(platform_mutex *mutex) { pthread_mutex_lock(&mutex->mutex); }
void platform_mutex_unlock(platform_mutex *mutex) { pthread_mutex_unlock(&mutex->mutex); }
void platform_mutex_wait(platform_mutex *mutex) { pthread_cond_wait(&mutex->condition, &mutex->mutex); }
void platform_mutex_broadcast(platform_mutex *mutex) { pthread_cond_broadcast(&mutex->condition); }

uint64_t platform_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// What the Embedded Swift standard library expects from its host. getrandom is in every kernel the library runs on,
// while arc4random_buf would need glibc 2.36.
__attribute__((weak)) void arc4random_buf(void *bytes, size_t size) {
    char *cursor = bytes;
    while (size > 0) {
        long got = syscall(SYS_getrandom, cursor, size, 0);
        if (got < 0 && errno != EINTR) { // no entropy source: a fixed seed only costs hash flooding resistance
            memset(cursor, 0x5a, size);
            return;
        }
        if (got > 0) {
            cursor += got;
            size -= (size_t)got;
        }
    }
}
#pragma clang attribute pop
