/*
 * flags.c: what ZERO, WIPE, PACKED, NO_CACHE, RELEASE and ABORT promise, alone and beside others. GUARD and
 * QUARANTINE have programs of their own. Public API only; memory that is free is read through the kernel.
 */
#include "vt_ctx.h"
#include <sys/resource.h>

static vmma_context_t *open_context(vmma_flags_t f, size_t block_size)
{
    vmma_context_t *c = vmma_create_context(NULL, 4 << 20, 0, block_size, f);
    CHECK(c && vmma_get_accepted_flags(c) == f, "a context with the flags asked for");
    return c;
}

static void zero(vmma_flags_t f)
{
    vmma_context_t *c = open_context(f, 8192);
    vmma_client_t *k = vmma_create_client(c);
    vt_random r = {f};
    unsigned char *p[64] = {0};
    for (int step = 0; step < (int)vt_loops(6000, 600); step++) {
        int i = (int)vt_below(&r, 64);
        size_t n = step % 30 ? vt_log_size(&r, 1, 2000) : vt_log_size(&r, 4000, 60000);
        if (!p[i]) {
            int kind = (int)vt_below(&r, 3);
            p[i] = (unsigned char *)(kind == 0 ? vmma_aligned_alloc(k, 256, n) : kind == 1 ? vmma_calloc(k, 1, n) : vmma_alloc(k, n));
            if (!p[i])
                continue;
            size_t real = vmma_get_size(k, p[i]);
            CHECK(vt_all_zero(p[i], real), "ZERO: all vmma_get_size bytes of a new allocation are zero");
            memset(p[i], 0xdd, real);
        } else if (vt_below(&r, 2)) {
            size_t old = vmma_get_size(k, p[i]);
            unsigned char *q = (unsigned char *)vmma_realloc(k, p[i], n);
            if (!q)
                continue;
            size_t real = vmma_get_size(k, q), kept = old < n ? old : n;
            int same = 1;
            for (size_t b = 0; b < kept; b++)
                same &= q[b] == 0xdd;
            CHECK(same, "ZERO: realloc keeps the contents");
            if (real > old)
                CHECK(vt_all_zero(q + old, real - old), "ZERO: realloc zeroes from the old to the new vmma_get_size");
            p[i] = q;
            memset(q, 0xdd, real);
        } else {
            vmma_free(k, p[i]);
            p[i] = NULL;
        }
    }
    /* memory of an earlier client, too */
    vmma_delete_client(k);
    k = vmma_create_client(c);
    for (int i = 0; i < 500; i++) {
        size_t n = vt_log_size(&r, 1, 9000);
        unsigned char *q = (unsigned char *)vmma_alloc(k, n);
        if (q)
            CHECK(vt_all_zero(q, vmma_get_size(k, q)), "ZERO: also over what an earlier client left");
    }
    vmma_delete_context(c);
}

static const uint64_t secret = UINT64_C(0x5ec4e7c0de5ec4e7);

static void fill_secret(void *p, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i += 8)
        memcpy((char *)p + i, &secret, 8);
}

static void wipe(vmma_flags_t f)
{
    static const size_t sizes[] = {8, 16, 24, 64, 100, 1000, 1024, 3000, 8192, 20000, 70000};
    vt_block m = vt_block_open(1 << 20, 72);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 8192, f);
    NEED(c != NULL, "a context with WIPE");
    /* the padding of records may hold what lay on the stack of an unoptimised library, this test's constant too */
    const size_t stale = vt_count_word(m.memory, m.size, secret);
    vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c);
    int late = (f & VMMA_FLAG_QUARANTINE) != 0;   /* with QUARANTINE it is zeroed when it leaves */
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        vt_mode("%s size %zu", vt_flags_text(f), sizes[i]);
        unsigned char *p = (unsigned char *)vmma_alloc(k, sizes[i]), *keep = (unsigned char *)vmma_alloc(k, sizes[i]);
        NEED(p && keep, "two allocations");
        size_t real = vmma_get_size(k, p);
        fill_secret(p, real);
        CHECK(vt_count_word(m.memory, m.size, secret) > stale, "the test sees what it looks for");
        CHECK_ST(vmma_free(k, p), VMMA_OK, "vmma_free with WIPE");
        CHECK_EQ(vt_count_word(m.memory, m.size, secret), stale, "WIPE: nothing of a freed allocation is left anywhere");
        if (late)
            vmma_trim_client(k);
        unsigned char *copy = (unsigned char *)malloc(real);
        if (!copy)
            exit(2);
        vt_peek(copy, p, real);
        CHECK(vt_all_zero(copy, real), "WIPE: freed memory is zeroed");
        free(copy);
        /* realloc: what a shrink or a move leaves */
        p = (unsigned char *)vmma_alloc(k, sizes[i]);
        real = vmma_get_size(k, p);
        fill_secret(p, real);
        unsigned char *q = (unsigned char *)vmma_realloc(k, p, 3);
        CHECK(q != NULL, "a shrink with WIPE");
        if (late)
            vmma_trim_client(k);
        memset(q, 0, vmma_get_size(k, q));
        if (f & VMMA_FLAG_GUARD || q != p || vmma_get_size(k, q) < real)
            CHECK_EQ(vt_count_word(m.memory, m.size, secret), stale, "WIPE: what a shrink leaves is zeroed");
        q = (unsigned char *)vmma_realloc(k, q, sizes[i] + 8);
        fill_secret(q, vmma_get_size(k, q));
        void *wall = vmma_alloc(k, sizes[i] + 8);
        p = (unsigned char *)vmma_realloc(k, q, sizes[i] * 4 + 40000);
        CHECK(p != NULL, "a growth with WIPE");
        if (late)
            vmma_trim_client(k);
        memset(p, 0, vmma_get_size(k, p));
        CHECK_EQ(vt_count_word(m.memory, m.size, secret), stale, "WIPE: what a move leaves is zeroed");
        vmma_free(k, p);
        vmma_free(k, wall);
        vmma_free(k, keep);
    }
    vt_mode("%s", vt_flags_text(f));
    for (int way = 0; way < 3; way++) {
        vt_random r = {(uint64_t)way};
        for (int i = 0; i < 200; i++) {
            size_t n = vt_log_size(&r, 1, 9000);
            void *p = vmma_alloc(o, n);
            if (p) {
                fill_secret(p, vmma_get_size(o, p));
                if (i % 3 == 0)
                    vmma_free(o, p);
            }
        }
        if (way == 0)
            CHECK_ST(vmma_reset_client(o), VMMA_OK, "vmma_reset_client with WIPE");
        else if (way == 1)
            CHECK_ST(vmma_delete_client(o), VMMA_OK, "vmma_delete_client with WIPE");
        else
            CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context with WIPE");
        CHECK_EQ(vt_count_word(m.memory, m.size, secret), stale, "WIPE: all of a client's memory is zeroed when it is deleted or reset");
        if (way == 1)
            o = vmma_create_client(c);
    }
    vt_block_close(&m);
}

static void packed(void)
{
    vmma_context_t *plain = vmma_create_context(NULL, 4 << 20, 8, 8192, 0), *c = vmma_create_context(NULL, 4 << 20, 8, 8192, VMMA_FLAG_PACKED);
    size_t sum_plain = 0, sum_packed = 0, between = 0;
    for (size_t n = 1; n <= 8192; n++) {
        size_t a = vmma_get_good_size(plain, n), b = vmma_get_good_size(c, n);
        CHECK(b >= n && b <= a, "PACKED: never larger than without");
        sum_plain += a;
        sum_packed += b;
        between += (b & (b - 1)) != 0;
    }
    CHECK(between > 0, "PACKED: sizes between powers of two");
    CHECK(sum_packed * 10 < sum_plain * 9, "PACKED: less waste");
    vmma_client_t *k = vmma_create_client(c), *l = vmma_create_client(plain);
    size_t in_packed = 0, in_plain = 0;
    while (vmma_alloc(k, 40))
        in_packed++;
    while (vmma_alloc(l, 40))
        in_plain++;
    CHECK(in_packed * 10 > in_plain * 12, "PACKED: more allocations of 40 bytes fit");
    vmma_delete_context(c);
    vmma_delete_context(plain);
}

static void no_cache(vmma_flags_t f)
{
    vmma_context_t *c = open_context(f, 8192);
    vmma_client_t *k = vmma_create_client(c);
    size_t fresh = vmma_get_free_blocks(c);
    vt_random r = {f};
    static void *p[2000];
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < VT_COUNT(p); i++)
            p[i] = vmma_alloc(k, i % 100 ? vt_log_size(&r, 1, 1500) : 20000);
        for (unsigned i = 0; i < VT_COUNT(p); i++) {
            unsigned j = (i * 7 + 1) % VT_COUNT(p);
            vmma_free(k, p[j]);
            if (i % 100 == 0) {
                CHECK_EQ(vmma_populate_cached_blocks(c), 0, "NO_CACHE: no kept blocks");
                vmma_stats_t s = vt_client_stats(k);
                CHECK_EQ(s.cached_size, 0, "NO_CACHE: no caches");
            }
        }
        CHECK_EQ(vmma_get_held_size(k), 0, "NO_CACHE: the last free gives the last block back at once");
        CHECK_EQ(vmma_get_free_blocks(c), fresh, "NO_CACHE: all blocks are free at once, without trim");
    }
    /* merged with its buddy at once: half and half make a whole */
    void *a = vmma_alloc(k, 4096), *b = vmma_alloc(k, 4096);
    size_t held = vmma_get_held_size(k);
    vmma_free(k, a);
    vmma_set_limit(k, held);
    CHECK_EQ(vmma_get_max_alloc(k) >= 4096 - 64, 1, "NO_CACHE: a freed half can be had again");
    vmma_free(k, b);
    CHECK(vmma_alloc(k, 8192 - (f & VMMA_FLAG_GUARD ? 512 : 0)) != NULL, "NO_CACHE: two halves are a whole again");
    vmma_delete_context(c);
}

static size_t resident(void)
{
    long total = 0, here = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &total, &here) != 2)
        here = 0;
    if (file)
        fclose(file);
    return (size_t)here * 4096;
}

static void release(int given)
{
    const size_t size = 64u << 20;
    vt_block m = {0};
    if (given)
        m = vt_block_open(size, 16);
    vt_mode("RELEASE, %s memory", given ? "given" : "mapped");
    vmma_context_t *c = vmma_create_context(given ? m.memory : NULL, size, 0, 65536, VMMA_FLAG_RELEASE);
    NEED(c != NULL, "a context with RELEASE");
    for (int way = 0; way < 3; way++) {
        vmma_client_t *k = vmma_create_client(c);
        size_t n = 0, empty = resident();
        static void *p[1000];
        memset(p, 0, sizeof p);
        for (; n < 40 * 16; n++)
            if ((p[n] = vmma_alloc(k, 65536)) != NULL)
                memset(p[n], 0x6b, 65536);
        size_t full = resident();
        CHECK(full >= empty + (30u << 20), "40 MiB are in use");
        if (way == 0) {
            vmma_delete_client(k);
        } else if (way == 1) {
            vmma_reset_client(k);
            vmma_trim_client(k);
        } else {
            for (size_t i = 0; i < n; i++)
                vmma_free(k, p[i]);
            vmma_trim_client(k);
        }
        size_t after = resident();
        CHECK(after + (30u << 20) <= full, "RELEASE: the pages of blocks that become free go back to the operating system");
        if (way)
            vmma_delete_client(k);
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after RELEASE");
        /* the memory is there again when asked for */
        k = vmma_create_client(c);
        unsigned char *q = (unsigned char *)vmma_alloc(k, 10 << 20);
        CHECK(q != NULL, "RELEASE: memory can be allocated again");
        if (q) {
            vt_fill(q, 10 << 20, 3);
            CHECK(vt_filled(q, 10 << 20, 3), "RELEASE: memory can be used again");
        }
        vmma_delete_client(k);
    }
    vmma_delete_context(c);
    if (given)
        vt_block_close(&m);
    vt_mode("-");
}

/* A client that lives at a block's edge: its block goes to the context and comes back, its pages stay. */
static void release_at_an_edge(void)
{
    enum { ROUNDS = 300, BLOCK = 65536 };
    vmma_flags_t f = VMMA_FLAG_RELEASE | VMMA_FLAG_NO_CACHE;
    vt_mode("%s", vt_flags_text(f));
    vmma_context_t *c = vmma_create_context(NULL, 64u << 20, 0, BLOCK, f);
    NEED(c != NULL, "a context with RELEASE");
    vmma_client_t *k = vmma_create_client(c);
    struct rusage before, after;
    for (int round = -10; round < ROUNDS; round++) {
        unsigned char *p = (unsigned char *)vmma_alloc(k, BLOCK);
        NEED(p != NULL, "a block");
        for (int page = 0; page < BLOCK; page += 4096)
            ((volatile unsigned char *)p)[page] = 1;
        CHECK_ST(vmma_free(k, p), VMMA_OK, "the block goes back");
        CHECK_EQ(vmma_get_held_size(k), 0, "NO_CACHE: it goes back at once");
        if (round < 0)
            getrusage(RUSAGE_SELF, &before);
    }
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_minflt - before.ru_minflt < ROUNDS, "RELEASE: a block that is freed and taken in turn keeps its pages");
    vmma_delete_context(c);
    vt_mode("-");
}

/* Locked pages can't be given back: that is nobody's failure. */
static void release_of_locked_pages(void)
{
    vt_mode("RELEASE, locked memory");
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mlock(memory, 1 << 20) != 0) {
        vt_skip("RELEASE of locked memory", "mlock is not allowed here");
        return;
    }
    vmma_context_t *c = vmma_create_context(memory, 1 << 20, 0, 16384, VMMA_FLAG_RELEASE);
    NEED(c != NULL, "a context over locked memory");
    vmma_client_t *k = vmma_create_client(c);
    void *p = vmma_alloc(k, 100000), *q = vmma_alloc(k, 100000);
    errno = 12345;
    CHECK_ST(vmma_free(k, p), VMMA_OK, "RELEASE: a free of locked memory");
    CHECK((q = vmma_realloc(k, q, 10)) != NULL, "RELEASE: a shrink of locked memory");
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "RELEASE: a reset of a client in locked memory");
    CHECK_ST(vmma_trim_context(c), VMMA_OK, "RELEASE: a trim of locked memory");
    CHECK_EQ(errno, 12345, "RELEASE: errno is left alone where pages can't go back");
    vmma_delete_context(c);
    munmap(memory, 1 << 20);
    vt_mode("-");
}

static void each(void (*run)(vmma_flags_t), vmma_flags_t base, vmma_flags_t without)
{
    for (vmma_flags_t extra = 0; extra < VMMA_FLAG_ABORT; extra += 4) {
        vmma_flags_t f = base | extra, rest = extra & (extra - 1);
        int several = (rest & (rest - 1)) != 0;     /* alone, with one, with two others, with all */
        if (several && extra != ((VMMA_FLAG_ABORT - 4) & ~(base | without)))
            continue;
        if ((extra & (base | without)) || !vt_has(f) || (!vt_loops(1, 0) && extra % 20) || (vt_tool() && rest && !several))
            continue;
        vt_mode("%s", vt_flags_text(f));
        run(f);
    }
    vt_mode("-");
}

int main(void)
{
    vt_begin("flags");
    if (vt_has(VMMA_FLAG_ZERO))
        each(zero, VMMA_FLAG_ZERO, VMMA_FLAG_RELEASE | VMMA_FLAG_WIPE);
    else
        vt_skip("ZERO", "not in this build");
    if (vt_has(VMMA_FLAG_WIPE))
        each(wipe, VMMA_FLAG_WIPE, 0);
    else
        vt_skip("WIPE", "not in this build");
    if (vt_has(VMMA_FLAG_PACKED))
        packed();
    else
        vt_skip("PACKED", "not in this build");
    if (vt_has(VMMA_FLAG_NO_CACHE))
        each(no_cache, VMMA_FLAG_NO_CACHE, VMMA_FLAG_QUARANTINE);
    else
        vt_skip("NO_CACHE", "not in this build");
    if (!vt_has(VMMA_FLAG_RELEASE)) {
        vt_skip("RELEASE", "not in this build");
    } else if (vt_tool()) {
        vt_skip("RELEASE", "resident sizes mean nothing under the tool");
    } else {
        release(0);
        release(1);
        if (vt_has(VMMA_FLAG_NO_CACHE))
            release_at_an_edge();
        release_of_locked_pages();
    }
    return vt_end();
}
