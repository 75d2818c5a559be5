/*
 * vt.h: the small harness of the C test suite. Knows libc and libvmma.h, nothing of the library's inside.
 *
 * Include it first (it asks for the GNU interfaces of libc). One program is one translation unit:
 * vt_begin, checks, return vt_end. A check names the claim of the API that it tests. The first success
 * of a check prints one `ok` line, each failure (up to five per check) a `FAIL file:line claim` line.
 * Counters live in shared memory, so checks in forked children count too.
 */
#ifndef VT_H
#define VT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "libvmma.h"

#define VT_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define VT_ERRNO_MARK 7777          /* no system error has this number: shows that errno was left alone */

struct vt_state {
    long passed, failed, skipped;
};
static struct vt_state vt_state_private;
static struct vt_state *vt = &vt_state_private;
static const char *vt_program = "?";
static char vt_mode_text[160];

/* What the following checks run under; printed with each failure. Call it from one thread only. */
static inline void vt_mode(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(vt_mode_text, sizeof vt_mode_text, format, args);
    va_end(args);
}

/* A site's word: bit 0 says that its `ok` line is out, the rest counts its failures. */
static inline void vt_report(int ok, int *site, const char *file, int line, const char *claim, const char *detail)
{
    if (ok) {
        __atomic_fetch_add(&vt->passed, 1, __ATOMIC_RELAXED);
        if ((__atomic_load_n(site, __ATOMIC_RELAXED) & 1) || (__atomic_fetch_or(site, 1, __ATOMIC_RELAXED) & 1))
            return;
    } else {
        __atomic_fetch_add(&vt->failed, 1, __ATOMIC_RELAXED);
        if ((__atomic_fetch_add(site, 2, __ATOMIC_RELAXED) >> 1) >= 5)
            return;
    }
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    if (ok) {
        printf("ok   %s:%d %s\n", base, line, claim);
    } else {
        printf("FAIL %s:%d %s [%s] %s\n", base, line, claim, vt_mode_text, detail);
        fflush(stdout);
    }
}

static inline void vt_report_eq(long long got, long long want, int *site, const char *file, int line,
                                const char *claim, const char *expression)
{
    char detail[256];
    if (got == want) {
        vt_report(1, site, file, line, claim, "");
        return;
    }
    snprintf(detail, sizeof detail, "%s: got %lld (0x%llx), want %lld (0x%llx)", expression, got,
             (unsigned long long)got, want, (unsigned long long)want);
    vt_report(0, site, file, line, claim, detail);
}

static inline void vt_report_status(int got, int want, int *site, const char *file, int line,
                                    const char *claim, const char *expression)
{
    char detail[256];
    if (got == want) {
        vt_report(1, site, file, line, claim, "");
        return;
    }
    snprintf(detail, sizeof detail, "%s: got %d (%s), want %d (%s)", expression, got, vmma_status_string(got), want,
             vmma_status_string(want));
    vt_report(0, site, file, line, claim, detail);
}

#define CHECK(condition, claim)                                                             \
    do {                                                                                    \
        static int vt_site;                                                                 \
        vt_report((condition) ? 1 : 0, &vt_site, __FILE__, __LINE__, claim, #condition);    \
    } while (0)
#define CHECK_EQ(got, want, claim)                                                          \
    do {                                                                                    \
        static int vt_site;                                                                 \
        vt_report_eq((long long)(got), (long long)(want), &vt_site, __FILE__, __LINE__, claim, #got); \
    } while (0)
#define CHECK_ST(got, want, claim)                                                          \
    do {                                                                                    \
        static int vt_site;                                                                 \
        vt_report_status((got), (want), &vt_site, __FILE__, __LINE__, claim, #got);         \
    } while (0)
#define CHECK_PTR(got, want, claim)                                                         \
    CHECK_EQ((intptr_t)(const void *)(got), (intptr_t)(const void *)(want), claim)
/* Without this the rest of the function makes no sense. */
#define NEED(condition, claim)                                                              \
    do {                                                                                    \
        int vt_need = (condition) ? 1 : 0;                                                  \
        CHECK(vt_need, claim);                                                              \
        if (!vt_need)                                                                       \
            return;                                                                         \
    } while (0)

static inline void vt_skip(const char *what, const char *why)
{
    __atomic_fetch_add(&vt->skipped, 1, __ATOMIC_RELAXED);
    printf("skipped: %s (%s)\n", what, why);
}

/* A call that never returns: says under what, and ends the program. */
static inline void vt_on_alarm(int signal_number)
{
    (void)signal_number;
    static const char text[] = "\nFAIL a call does not return [";
    ssize_t ignored = write(1, text, sizeof text - 1);
    ignored = write(1, vt_program, strlen(vt_program));
    ignored = write(1, " ", 1);
    ignored = write(1, vt_mode_text, strlen(vt_mode_text));
    ignored = write(1, "]\n", 2);
    (void)ignored;
    _exit(4);
}

static inline void vt_begin(const char *program)
{
    signal(SIGALRM, vt_on_alarm);
    alarm(getenv("VT_TOOL") ? 130 : 60);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED)
        vt = (struct vt_state *)page;
    vt_program = program;
    vt_mode("-");
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
}

static inline int vt_end(void)
{
    printf("%s: %ld passed, %ld failed, %ld skipped\n", vt_program, vt->passed, vt->failed, vt->skipped);
    fflush(stdout);
    if (vt->passed == 0) {
        printf("FAIL %s: no check ran\n", vt_program);
        fflush(stdout);
        return 1;
    }
    return vt->failed != 0;
}

/* VT_QUICK=1 shortens loops. VT_TOOL names the tool a program runs under (valgrind, asan, tsan). */
static inline long vt_loops(long full, long quick)
{
    const char *q = getenv("VT_QUICK");
    return q && *q && *q != '0' ? quick : full;
}

static inline const char *vt_tool(void)
{
    const char *tool = getenv("VT_TOOL");
    return tool && *tool ? tool : NULL;
}

static inline double vt_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* splitmix64: the same numbers on every machine. */
typedef struct vt_random {
    uint64_t state;
} vt_random;

static inline uint64_t vt_next(vt_random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline size_t vt_below(vt_random *r, size_t bound)
{
    return (size_t)(vt_next(r) % (bound ? bound : 1));
}

/* Log-uniform in [low, high]: small sizes as likely as large ones. */
static inline size_t vt_log_size(vt_random *r, size_t low, size_t high)
{
    unsigned bits_low = 0, bits_high = 0;
    while ((low >> bits_low) > 1)
        bits_low++;
    while ((high >> bits_high) > 1)
        bits_high++;
    unsigned bits = bits_low + (unsigned)vt_below(r, bits_high - bits_low + 1);
    size_t size = ((size_t)1 << bits) + vt_below(r, (size_t)1 << bits);
    return size < low ? low : size > high ? high : size;
}

static inline uint64_t vt_mix(uint64_t hash, uint64_t value)
{
    hash ^= value + UINT64_C(0x9e3779b97f4a7c15) + (hash << 6) + (hash >> 2);
    return (hash ^ (hash >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline size_t vt_pow2_above(size_t n)
{
    size_t p = 1;
    while (p < n && p < (SIZE_MAX >> 1) + 1)
        p <<= 1;
    return p;
}

static inline int vt_aligned(const void *p, size_t alignment)
{
    return ((uintptr_t)p & (alignment - 1)) == 0;
}

/*
 * Raw reads and writes of memory that is not ours to touch just now (freed, red zones). They go through
 * the kernel, so that AddressSanitizer and valgrind, which are right to object, do not see them.
 */
static inline int vt_mem_file(void)
{
    static int file = -1;
    static pid_t owner;
    if (file < 0 || owner != getpid()) {
        if (file >= 0)
            close(file);
        file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
        owner = getpid();
        if (file < 0) {
            printf("FAIL %s: /proc/self/mem cannot be opened\n", vt_program);
            exit(2);
        }
    }
    return file;
}

static inline void vt_peek(void *to, const void *from, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = pread(vt_mem_file(), (char *)to + done, length - done, (off_t)((uintptr_t)from + done));
        if (n <= 0) {
            printf("FAIL %s: cannot read %p\n", vt_program, from);
            exit(2);
        }
        done += (size_t)n;
    }
}

static inline void vt_poke(void *to, const void *from, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = pwrite(vt_mem_file(), (const char *)from + done, length - done, (off_t)((uintptr_t)to + done));
        if (n <= 0) {
            printf("FAIL %s: cannot write %p\n", vt_program, to);
            exit(2);
        }
        done += (size_t)n;
    }
}

static inline unsigned char vt_peek_byte(const void *from)
{
    unsigned char byte;
    vt_peek(&byte, from, 1);
    return byte;
}

/* Changes one byte for certain. */
static inline void vt_flip_byte(void *at)
{
    unsigned char byte = (unsigned char)(vt_peek_byte(at) ^ 0x5a);
    vt_poke(at, &byte, 1);
}

/* How a forked child ended, and what it wrote to stderr. */
typedef struct vt_outcome {
    int exited, code, signal;
    char err[2048];
} vt_outcome;

static inline vt_outcome vt_fork(void (*run)(void *), void *arg)
{
    vt_outcome out;
    int pipe_ends[2];
    memset(&out, 0, sizeof out);
    fflush(stdout);
    fflush(stderr);
    if (pipe(pipe_ends) != 0)
        exit(2);
    pid_t child = fork();
    if (child < 0)
        exit(2);
    if (child == 0) {
        long failed = vt->failed;
        close(pipe_ends[0]);
        dup2(pipe_ends[1], 2);
        close(pipe_ends[1]);
        alarm(getenv("VT_TOOL") ? 100 : 30);
        run(arg);
        fflush(stdout);
        _exit(vt->failed != failed ? 3 : 0);
    }
    close(pipe_ends[1]);
    size_t used = 0;
    char spill[256];
    for (;;) {
        int room = used + 1 < sizeof out.err;
        ssize_t n = read(pipe_ends[0], room ? out.err + used : spill, room ? sizeof out.err - 1 - used : sizeof spill);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (room)
            used += (size_t)n;
    }
    close(pipe_ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    out.exited = WIFEXITED(status);
    out.code = out.exited ? WEXITSTATUS(status) : -1;
    out.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return out;
}

#endif
