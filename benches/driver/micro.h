/* micro.h - the synthetic lines: each function is one repetition and returns nanoseconds; run.c repeats them in turn
 * with the other allocators and keeps the least. Knows the adapter and common.h; vmma_only.h adds what only libvmma has.
 * Sequences are drawn before the clock starts. */
#ifndef MICRO_H
#define MICRO_H

enum { CHURN_LIVE = 10000, CHURN_STEPS = 1 << 17, MANY = 64 };
struct churn_step { uint32_t slot, size; };
static struct churn_step churn_log[CHURN_STEPS], churn_vm[CHURN_STEPS];
struct live { void *p; uint32_t n; };

static void churn_prepare(void)
{
    static int done;
    if (done)
        return;
    done = 1;
    rng_seed(3);
    for (int i = 0; i < CHURN_STEPS; i++) {
        churn_log[i] = (struct churn_step){ rng_below(CHURN_LIVE), size_log() };
        churn_vm[i] = (struct churn_step){ rng_below(CHURN_LIVE), size_vm() };
    }
}

/* frees one and allocates anew, first 8 bytes written, and read before the free */
static uint64_t churn_run(void *h, struct live *v, const struct churn_step *s, int steps)
{
    uint64_t sum = 0;
    for (int i = 0; i < steps; i++) {
        struct live *l = v + s[i].slot;
        sum += *(volatile uint64_t *)l->p;
        a_free(h, l->p, l->n);
        l->n = s[i].size;
        l->p = a_alloc(h, l->n);
        *(volatile uint64_t *)l->p = (uint64_t)i;
    }
    return sum;
}
static void churn_fill(void *h, struct live *v, const struct churn_step *s)
{
    for (int i = 0; i < CHURN_LIVE; i++) {
        v[i].n = s[i].size;
        v[i].p = need(a_alloc(h, v[i].n));
        *(uint64_t *)v[i].p = 0;
    }
}
static void churn_drop(void *h, struct live *v)
{
    if (!A_DELETE)
        for (int i = 0; i < CHURN_LIVE; i++)
            a_free(h, v[i].p, v[i].n);
}
static double churn(const struct churn_step *s)
{
    static struct live v[CHURN_LIVE];
    churn_prepare();
    void *h = need(a_open());
    churn_fill(h, v, s);
    churn_run(h, v, s, CHURN_STEPS);
    double t = cpu_now();
    churn_run(h, v, s, CHURN_STEPS);
    churn_run(h, v, s, CHURN_STEPS);
    t = cpu_now() - t;
    churn_drop(h, v);
    a_close(h);
    return t / (4.0 * CHURN_STEPS); /* per operation: a step is a free and an allocation */
}
static double m_churn_log(void) { return churn(churn_log); }
static double m_churn_vm(void) { return churn(churn_vm); }

static double pairs(uint32_t n)
{
    int count = 200000;
    void *h = need(a_open());
    double t = 0;
    for (int i = -2000; i < count; i++) {
        if (!i)
            t = cpu_now();
        void *p = a_alloc(h, n);
        *(volatile char *)p = 1;
        a_free(h, p, n);
    }
    t = cpu_now() - t;
    a_close(h);
    return t / count;
}
static double m_pair16(void) { return pairs(16); }
static double m_pair64(void) { return pairs(64); }
static double m_pair256(void) { return pairs(256); }
static double m_pair1k(void) { return pairs(1024); }
static double m_pair2k(void) { return pairs(2048); }
static double m_pair4k(void) { return pairs(4096); }
static double m_pair8k(void) { return pairs(8192); }
static double m_pair16k(void) { return pairs(16384); }
static double m_pair32k(void) { return pairs(32768); }

static double m_lifo(void)
{
    void *h = need(a_open()), *p[64];
    double t = 0;
    for (int r = -50; r < 3000; r++) {
        if (!r)
            t = cpu_now();
        for (int i = 0; i < 64; i++) {
            p[i] = a_alloc(h, 64);
            *(volatile char *)p[i] = 1;
        }
        for (int i = 63; i >= 0; i--)
            a_free(h, p[i], 64);
    }
    t = cpu_now() - t;
    a_close(h);
    return t / (3000.0 * 64);
}

static double m_realloc_same(void)
{
    void *h = need(a_open()), *p = need(a_alloc(h, 60));
    int count = 200000;
    uint32_t n = 60;
    double t = 0;
    for (int i = -2000; i < count; i++) {
        if (!i)
            t = cpu_now();
        uint32_t m = i & 1 ? 60 : 52;
        p = a_realloc(h, p, n, m);
        *(volatile char *)p = 1;
        n = m;
    }
    t = cpu_now() - t;
    a_free(h, p, n);
    a_close(h);
    return t / count;
}
static double m_realloc_grow(void)
{
    void *h = need(a_open());
    double t = 0, count = 0;
    for (int r = -5; r < 200; r++) {
        if (!r) {
            t = cpu_now();
            count = 0;
        }
        uint32_t n = 16;
        void *p = a_alloc(h, n);
        while (n < 65536) {
            uint32_t m = n + n / 4 + 8;
            p = a_realloc(h, p, n, m);
            *(volatile char *)p = 1;
            n = m;
            count++;
        }
        a_free(h, p, n);
    }
    t = cpu_now() - t;
    a_close(h);
    return t / count;
}

static const char *micro_why = ""; /* set by a line that means nothing for this allocator */
static double skip(const char *why)
{
    micro_why = why;
    return -1;
}
#ifdef A_DROP
#define SKIP_DROPPED return skip("deleting only drops the block")
#else
#define SKIP_DROPPED
#endif
/* a million live blocks of 64 bytes, then the whole heap at once */
static double million(int reset)
{
    SKIP_DROPPED;
    enum { N = 1000000 };
    static void **p;
    if (!p)
        p = need(malloc(N * sizeof *p));
    void *h = need(a_open());
    for (int i = 0; i < N; i++) {
        p[i] = need(a_alloc(h, 64));
        *(volatile char *)p[i] = 1;
    }
    double t = wall_now();
    if (!A_DELETE)
        for (int i = 0; i < N; i++)
            a_free(h, p[i], 64);
#ifdef A_VMMA
    if (reset)
        vmma_reset_client(h);
    else
        a_close(h);
#else
    a_close(h);
    if (reset)
        h = a_open();
#endif
    t = wall_now() - t;
    if (reset)
        a_close(h);
    return t;
}
static double m_delete_million(void) { return million(0); }
static double m_reset_million(void) { return million(1); }

static double life(int allocs)
{
    enum { N = 2000 };
    double best = 1e300;
    for (int r = 0; r < 10; r++) {
        double t = wall_now();
        for (int i = 0; i < N; i++) {
            void *h = a_open(), *p[16];
            if (!h)
                stop("no heap");
            for (int k = 0; k < allocs; k++) {
                p[k] = a_alloc(h, 64);
                *(volatile char *)p[k] = 1;
            }
            if (!A_DELETE)
                for (int k = 0; k < allocs; k++)
                    a_free(h, p[k], 64);
            a_close(h);
        }
        t = wall_now() - t;
        best = t < best ? t : best;
    }
    return best / N;
}
static double m_life10(void) { return life(10); }
static double m_life0(void) { return A_DELETE ? life(0) : skip("it has no heaps"); }

static double m_many(void)
{
    static struct live v[MANY][156];
    static struct { uint8_t client, slot; uint16_t size; } s[CHURN_STEPS];
    void *h[MANY];
    rng_seed(5);
    for (int i = 0; i < CHURN_STEPS; i++) {
        s[i].client = (uint8_t)rng_below(MANY);
        s[i].slot = (uint8_t)rng_below(156);
        s[i].size = (uint16_t)size_log();
    }
    for (int c = 0; c < MANY; c++) {
        h[c] = need(a_open());
        for (int i = 0; i < 156; i++) {
            v[c][i].n = size_log();
            v[c][i].p = need(a_alloc(h[c], v[c][i].n));
            *(uint64_t *)v[c][i].p = 0;
        }
    }
    double t = 0;
    for (int r = 0; r < 3; r++) {
        if (r == 1)
            t = cpu_now();
        for (int i = 0; i < CHURN_STEPS; i++) {
            void *heap = h[s[i].client];
            struct live *l = &v[s[i].client][s[i].slot];
            (void)*(volatile uint64_t *)l->p;
            a_free(heap, l->p, l->n);
            l->n = s[i].size;
            l->p = a_alloc(heap, l->n);
            *(volatile uint64_t *)l->p = 1;
        }
    }
    t = cpu_now() - t;
    for (int c = 0; c < MANY; c++) {
        if (!A_DELETE)
            for (int i = 0; i < 156; i++)
                a_free(h[c], v[c][i].p, v[c][i].n);
        a_close(h[c]);
    }
    return t / (4.0 * CHURN_STEPS);
}

struct micro { const char *name; double (*run)(void); };
#ifdef A_VMMA
#include "vmma_only.h"
#endif
static const struct micro micros[] = {
    { "churn-log", m_churn_log }, { "churn-vm", m_churn_vm },
    { "pair-16", m_pair16 }, { "pair-64", m_pair64 }, { "pair-256", m_pair256 }, { "pair-1024", m_pair1k },
    { "pair-2048", m_pair2k }, { "pair-4096", m_pair4k }, { "pair-8192", m_pair8k }, { "pair-16384", m_pair16k },
    { "pair-32768", m_pair32k },
    { "lifo-64", m_lifo }, { "realloc-same", m_realloc_same }, { "realloc-grow", m_realloc_grow },
    { "delete-million", m_delete_million }, { "reset-million", m_reset_million },
    { "life-10", m_life10 }, { "life-0", m_life0 }, { "clients-64", m_many },
#ifdef A_VMMA
    VMMA_MICROS
#endif
};

static void micro_list(void)
{
    for (size_t i = 0; i < sizeof micros / sizeof *micros; i++)
        printf("%s%s", i ? " " : "", micros[i].name);
    printf("\n");
}
static void micro_command(const char *name)
{
    for (size_t i = 0; i < sizeof micros / sizeof *micros; i++)
        if (!strcmp(name, micros[i].name)) {
            double ns = micros[i].run();
            if (ns < 0)
                printf("skip %s\n", micro_why);
            else
                printf("%.4f\n", ns);
            return;
        }
    printf("skip only libvmma has this\n");
}
#endif
