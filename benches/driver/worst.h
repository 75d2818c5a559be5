/* worst.h - the longest single call. The same deterministic sequence runs many times from the same start; of each
 * call, by its number, the fewest ticks over all runs count. What interrupts and neighbours add differs from run to
 * run and falls out; what the allocator itself does at that call stays. Knows the adapter only. x86-64 only. */
#ifndef WORST_H
#define WORST_H

enum { WORST_CALLS = 40000, WORST_LIVE = 600 };

#if defined __x86_64__
static inline uint64_t ticks(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static void worst_command(int runs)
{
    static uint32_t size[WORST_CALLS], slot[WORST_CALLS], low[WORST_CALLS];
    static char is_alloc[WORST_CALLS];
    static void *p[WORST_LIVE];
    static uint32_t n[WORST_LIVE];
    if (!A_IN_BLOCK && !A_DELETE) {
        printf("skip its state cannot be put back\n");
        return;
    }
    rng_seed(11);
    for (uint32_t i = 0; i < WORST_CALLS; i++) {
        slot[i] = rng_below(WORST_LIVE);
        size[i] = i % 3 ? size_between(1, 4096) : size_between(1, 65536);
        low[i] = UINT32_MAX;
    }
    uint64_t empty = UINT64_MAX;
    for (int i = 0; i < 10000; i++) {
        uint64_t t = ticks();
        t = ticks() - t;
        empty = t < empty ? t : empty;
    }
    size_t block = 64u << 20;
    char *memory = mmap(NULL, block * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        stop("no memory for a block");
    memory += block - (uintptr_t)memory % block;
    memset(memory, 0, block);
    for (int r = 0; r < runs; r++) {
        if (A_IN_BLOCK && !a_fit_begin(memory, block, 0))
            stop("block too small");
        void *heap = need(A_IN_BLOCK ? a_fit_heap() : a_open());
        memset(p, 0, sizeof p);
        for (uint32_t i = 0; i < WORST_CALLS; i++) {
            uint32_t k = slot[i];
            uint64_t t;
            is_alloc[i] = !p[k];
            if (p[k]) {
                void *q = p[k];
                t = ticks();
                a_free(heap, q, n[k]);
                t = ticks() - t;
                p[k] = NULL;
            } else {
                n[k] = size[i];
                t = ticks();
                void *q = a_alloc(heap, size[i]);
                t = ticks() - t;
                *(volatile char *)need(q) = 1;
                p[k] = q;
            }
            t = t > empty ? t - empty : 0;
            if (t < low[i])
                low[i] = (uint32_t)t;
        }
        if (A_IN_BLOCK) {
            a_fit_close(heap);
            a_fit_end();
        } else
            a_close(heap);
    }
    uint32_t worst[2] = { 0, 0 }, at[2] = { 0, 0 };
    double sum[2] = { 0, 0 }, count[2] = { 0, 0 };
    for (uint32_t i = 0; i < WORST_CALLS; i++) {
        int a = is_alloc[i];
        sum[a] += low[i];
        count[a]++;
        if (low[i] > worst[a]) {
            worst[a] = low[i];
            at[a] = i;
        }
    }
    printf("%u %u %.0f %.0f %u %u\n", worst[1], worst[0], sum[1] / count[1], sum[0] / count[0], at[1], at[0]);
}
#else
static void worst_command(int runs) { (void)runs; printf("skip ticks are read on x86-64 only\n"); }
#endif
#endif
