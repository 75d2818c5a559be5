/* fit.h - the smallest block in which a workload completes, by bisection over the block's size. Knows the adapter's
 * a_fit functions, the trace replay and the VM mix (random sequences, by number). The answer is the upper end of an
 * interval whose lower end failed; its width is 1/2000 of the workload's peak (at least 64 bytes). */
#ifndef FIT_H
#define FIT_H
#include <sys/mman.h>

enum { MIX_LIVE = 10000, MIX_STEPS = 200000 };
struct mix_step { uint32_t slot, size; };
static struct mix_step *mix_steps;
static uint64_t mix_peak;

static void mix_prepare(unsigned sequence)
{
    static unsigned made;
    if (made == sequence)
        return;
    made = sequence;
    mix_peak = 0;
    free(mix_steps);
    uint32_t *live = need(calloc(MIX_LIVE, sizeof *live));
    uint64_t bytes = 0;
    mix_steps = need(malloc((MIX_LIVE + MIX_STEPS) * sizeof *mix_steps));
    rng_seed(sequence);
    for (uint32_t i = 0; i < MIX_LIVE + MIX_STEPS; i++) {
        uint32_t k = i < MIX_LIVE ? i : rng_below(MIX_LIVE), n = size_vm();
        mix_steps[i] = (struct mix_step){ k, n };
        bytes = bytes + n - live[k];
        live[k] = n;
        mix_peak = bytes > mix_peak ? bytes : mix_peak;
    }
    free(live);
}

static int mix_fits(void)
{
    static void *p[MIX_LIVE];
    static uint32_t n[MIX_LIVE];
    void *heap = a_fit_heap();
    if (!heap)
        return 0;
    memset(p, 0, sizeof p);
    for (uint32_t i = 0; i < MIX_LIVE + MIX_STEPS; i++) {
        uint32_t k = mix_steps[i].slot;
        if (p[k])
            a_free(heap, p[k], n[k]);
        n[k] = mix_steps[i].size;
        p[k] = a_alloc(heap, n[k]);
        if (!p[k])
            return 0;
        *(volatile char *)p[k] = 1;
    }
    return 1;
}

static char *fit_memory;
static size_t fit_held;

static int fit_try(size_t size, size_t block, unsigned mix)
{
    if (!a_fit_begin(fit_memory, size, block))
        return 0;
    int ok = mix ? mix_fits() : rp_fits();
    if (ok)
        fit_held = a_fit_held();
    a_fit_end();
    return ok;
}

/* prints: smallest size, block size that reached it, peak held then, held in a roomy block, the workload's peak.
 * mix: 0 for the trace, else the number of a sequence. blocks: sizes to try, 0 = the allocator's default */
static void fit_search(unsigned mix, const size_t *blocks, int count)
{
    if (!A_IN_BLOCK) {
        printf("skip not for a given block\n");
        return;
    }
    if (mix)
        mix_prepare(mix);
    size_t peak = mix ? mix_peak : rp_trace.peak_bytes, roomy = 6 * peak + (8u << 20);
    size_t step = peak / 2000 > 64 ? peak / 2000 : 64, best = 0, best_block = 0, best_held = 0, roomy_held = 0;
    size_t align = 64u << 20; /* the same address for all: aligned like a large mapping */
    char *raw = mmap(NULL, roomy + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        stop("no memory for a block");
    fit_memory = raw + (align - (uintptr_t)raw % align) % align;
    for (int b = 0; b < count; b++) {
        size_t lo = peak, hi = best ? best - step : roomy;
        if (hi <= lo || !fit_try(hi, blocks[b], mix))
            continue; /* no better than what is known (success is taken to be monotone in the size) */
        if (!best)
            roomy_held = fit_held;
        size_t held = fit_held;
        if (hi > 2 * peak && fit_try(2 * peak, blocks[b], mix)) {
            hi = 2 * peak;
            held = fit_held;
        }
        while (hi - lo > step) {
            size_t mid = (lo + (hi - lo) / 2) & ~(size_t)15;
            if (fit_try(mid, blocks[b], mix)) {
                hi = mid;
                held = fit_held;
            } else
                lo = mid;
        }
        best = hi;
        best_block = blocks[b];
        best_held = held;
    }
    munmap(raw, roomy + align);
    if (best)
        printf("%zu %zu %zu %zu %zu\n", best, best_block, best_held, roomy_held, peak);
    else
        printf("skip does not complete in six times its peak\n");
}

static void fit_command(const char *what)
{
    static const size_t defaults[] = { 0 };
    static const size_t all[] = { 0, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 1048576 };
    const char *number = strchr(what, ' ');
    int free_block = strstr(what, "best") != NULL;
    unsigned mix = strncmp(what, "mix", 3) || !number ? 0 : (unsigned)atoi(number);
    if (!mix && strncmp(what, "trace", 5))
        stop("fit trace[-best], or mix[-best] and the number of a sequence");
    fit_search(mix, free_block ? all : defaults, free_block ? 11 : 1);
}
#endif
