/* common.h - clocks, random numbers and the two size mixes. Knows no allocator and no benchmark. */
#ifndef COMMON_H
#define COMMON_H
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_of(clockid_t id)
{
    struct timespec s;
    clock_gettime(id, &s);
    return (double)s.tv_sec * 1e9 + (double)s.tv_nsec;
}
/* Long loops are timed by the thread's own processor time, so that other work on the machine counts less. Its reading is
 * a system call, so short pieces use the wall clock and minima. */
static double cpu_now(void) { return now_of(CLOCK_THREAD_CPUTIME_ID); }
static double wall_now(void) { return now_of(CLOCK_MONOTONIC); }

static uint64_t rng_state = 0x9E3779B97F4A7C15u;
static void rng_seed(uint64_t s) { rng_state = s * 0x9E3779B97F4A7C15u | 1; }
static uint64_t rng(void)
{
    uint64_t x = rng_state;
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    return rng_state = x;
}
static uint32_t rng_below(uint32_t n) { return (uint32_t)(((rng() >> 32) * n) >> 32); }
static double rng_unit(void) { return (double)(rng() >> 11) * 0x1p-53; }

/* log-uniform in [lo, hi] */
static uint32_t size_between(double lo, double hi) { return (uint32_t)(lo * pow(hi / lo, rng_unit())); }
static uint32_t size_log(void) { return size_between(16, 1024); }
static uint32_t size_vm(void)
{
    uint32_t r = rng_below(100);
    return r < 60 ? size_between(16, 64) : r < 90 ? size_between(64, 256)
         : r < 99 ? size_between(256, 4096) : size_between(4096, 65536);
}

static void stop(const char *why)
{
    fprintf(stderr, "driver: %s\n", why);
    exit(1);
}
static void *need(void *p) { if (!p) stop("out of memory"); return p; }
#endif
