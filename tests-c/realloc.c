/*
 * realloc.c: vmma_realloc: contents, in place when the size class stays, runs that grow and shrink in place,
 * alignment, failures that leave the block, shrinks that never fail. Public API only.
 */
#include "vt_ctx.h"

static void basics(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 4 << 20, 0, 16384, f);
    vmma_client_t *k = vmma_create_client(c);
    unsigned char *p = (unsigned char *)vmma_realloc(k, NULL, 100);
    CHECK(p != NULL, "vmma_realloc(NULL): alloc");
    CHECK_EQ(vt_client_stats(k).live_count, 1, "vmma_realloc(NULL): one allocation");
    vt_fill(p, 100, 1);
    p = (unsigned char *)vmma_realloc(k, p, 0);
    CHECK(p != NULL, "vmma_realloc: size 0 means 1, it does not free");
    CHECK(p && p[0] == vt_pattern(1, 0), "vmma_realloc: size 0 keeps one byte");
    CHECK_EQ(vt_client_stats(k).live_count, 1, "vmma_realloc: size 0 keeps the allocation");
    CHECK_EQ(vmma_get_size(k, p) >= 1, 1, "vmma_realloc: size 0 is an allocation of 1");
    unsigned char *zero = (unsigned char *)vmma_realloc(k, NULL, 0);
    CHECK(zero && zero != p, "vmma_realloc(NULL, 0): an allocation of 1");
    CHECK_ST(vmma_free(k, zero), VMMA_OK, "it is freed");
    CHECK_ST(vmma_free(k, p), VMMA_OK, "it is freed");
    /* from every size to every size */
    static const size_t sizes[] = {1, 8, 15, 16, 17, 32, 40, 64, 65, 100, 128, 200, 256, 300, 512, 513, 1000, 1024, 1025, 1500, 2048, 3000,
                                   4096, 5000, 8192, 10000, 16384, 16385, 20000, 32768, 40000, 65536, 100000, 200000};
    vt_random r = {f};
    for (unsigned i = 0; i < VT_COUNT(sizes); i++)
        for (unsigned j = 0; j < VT_COUNT(sizes); j++) {
            size_t from = sizes[i], to = sizes[j];
            if (!vt_loops(1, 0) && (i * 5 + j) % 7)
                continue;
            p = (unsigned char *)vmma_alloc(k, from);
            NEED(p != NULL, "an allocation");
            size_t real = vmma_get_size(k, p);
            void *wall = vt_below(&r, 2) ? vmma_alloc(k, from) : NULL;
            vt_fill(p, real, i * 100 + j);
            errno = VT_ERRNO_MARK;
            unsigned char *q = (unsigned char *)vmma_realloc(k, p, to);
            NEED(q != NULL, "vmma_realloc succeeds while there is room");
            int same_class = vmma_get_good_size(c, to) == real;
            if (errno != VT_ERRNO_MARK || !vt_filled(q, real < to ? real : to, i * 100 + j) || vmma_get_size(k, q) < to || (same_class && q != p))
                vt_mode("%s from %zu to %zu", vt_flags_text(f), from, to);
            CHECK_EQ(errno, VT_ERRNO_MARK, "vmma_realloc that succeeds leaves errno alone");
            CHECK(vt_filled(q, real < to ? real : to, i * 100 + j), "vmma_realloc keeps the contents, all of the old vmma_get_size");
            CHECK(vmma_get_size(k, q) >= to, "vmma_realloc: as large as asked");
            if (f & VMMA_FLAG_GUARD)
                CHECK_EQ(vmma_get_size(k, q), to, "vmma_realloc with GUARD: exactly as large as asked");
            if (!(f & VMMA_FLAG_GUARD) && same_class)
                CHECK(q == p, "vmma_realloc within the same cell size stays in place");
            if (!(f & VMMA_FLAG_PACKED)) {
                size_t natural = vt_pow2_above(to) < 16384 ? vt_pow2_above(to) : 16384;
                CHECK(vt_aligned(q, natural), "vmma_realloc keeps the alignment of alloc for the new size");
            }
            CHECK(vt_aligned(q, 16), "vmma_realloc: the context's alignment");
            if (q != p)
                CHECK_EQ(vmma_get_size(k, p), 0, "vmma_realloc that moves frees the old place");
            vt_fill(q, to, 7);
            CHECK_ST(vmma_free(k, q), VMMA_OK, "the result is freed like any other");
            CHECK_ST(vmma_free(k, wall), VMMA_OK, "the neighbour is freed");
        }
    CHECK_EQ(vt_client_stats(k).live_count, 0, "nothing is left");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "nothing failed");
    vmma_delete_context(c);
}

static void runs(vmma_flags_t f)
{
    enum { BS = 4096 };
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, BS, f);
    vmma_client_t *k = vmma_create_client(c);
    size_t fresh = vmma_get_free_blocks(c), red = f & VMMA_FLAG_GUARD ? 512 : 0;
    unsigned char *p = (unsigned char *)vmma_alloc(k, 40 * BS - red), *start = p;
    NEED(p != NULL, "a run of 40 blocks");
    vt_fill(p, 40 * BS - red, 3);
    CHECK_EQ(vmma_get_held_size(k), 40 * BS, "a run holds its blocks");
    for (size_t blocks = 39; blocks > 5; blocks -= 5) {
        p = (unsigned char *)vmma_realloc(k, p, blocks * BS - red);
        NEED(p != NULL, "a run shrinks");
        CHECK_PTR(p, start, "a run shrinks in place");
        CHECK(vt_filled(p, blocks * BS - red, 3), "a shrinking run keeps its contents");
        vmma_trim_client(k);
        CHECK_EQ(vmma_get_held_size(k), blocks * BS, "what a run no longer needs is given back");
        CHECK_EQ(vmma_get_free_blocks(c), fresh - blocks, "and is free for others");
    }
    for (size_t blocks = 10; blocks < 60; blocks += 5) {
        unsigned char *q = (unsigned char *)vmma_realloc(k, p, blocks * BS - red);
        NEED(q != NULL, "a run grows");
        CHECK_PTR(q, start, "a run grows in place into free blocks behind it");
        vt_fill(q, blocks * BS - red, (uint32_t)blocks);
        p = q;
    }
    CHECK_ST(vmma_free(k, p), VMMA_OK, "the run is freed");
    vmma_trim_client(k);
    CHECK_EQ(vmma_get_free_blocks(c), fresh, "all blocks are free again");
    /* a wall behind it: it moves, contents and all */
    p = (unsigned char *)vmma_alloc(k, 10 * BS - red);
    unsigned char *wall = (unsigned char *)vmma_alloc(k, 10 * BS - red);
    vt_fill(p, 10 * BS - red, 9);
    vt_fill(wall, 10 * BS - red, 10);
    unsigned char *q = (unsigned char *)vmma_realloc(k, p, 30 * BS);
    NEED(q != NULL, "a run with a neighbour grows");
    CHECK(vt_filled(q, 10 * BS - red, 9), "a run that moves keeps its contents");
    CHECK(vt_filled(wall, 10 * BS - red, 10), "the neighbour's contents stay");
    /* growth by a move needs room for both, in place it does not */
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client");
    vmma_trim_client(k);
    p = (unsigned char *)vmma_alloc(k, BS * (fresh / 2 + 10) - red);
    NEED(p != NULL, "more than half of all");
    q = (unsigned char *)vmma_realloc(k, p, BS * fresh - red);
    CHECK_PTR(q, p, "a run grows in place over everything behind it");
    CHECK_EQ(vmma_get_free_blocks(c), 0, "it is everything");
    vmma_delete_context(c);
}

/* small requests grow into a free buddy */
static void buddies(void)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 65536, VMMA_FLAG_NO_CACHE);
    vmma_client_t *k = vmma_create_client(c);
    for (size_t n = 1024; n < 65536; n *= 2) {
        unsigned char *p = (unsigned char *)vmma_alloc(k, n);
        NEED(p != NULL, "an allocation alone in its block");
        vt_fill(p, n, 4);
        unsigned char *q = (unsigned char *)vmma_realloc(k, p, n * 2);
        NEED(q != NULL, "a growth");
        if (vt_aligned(p, n * 2))
            CHECK_PTR(q, p, "vmma_realloc grows in place into the free buddy behind it");
        CHECK(vt_filled(q, n, 4), "contents are kept");
        p = (unsigned char *)vmma_realloc(k, q, n);
        CHECK_PTR(p, q, "vmma_realloc shrinks a buddy run in place");
        vmma_free(k, p);
    }
    vmma_delete_context(c);
}

static void full(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 300000, 8, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    static unsigned char *p[40000];
    static size_t size[40000];
    vt_random r = {f};
    for (int round = 0; round < (int)vt_loops(4, 1); round++) {
        size_t n = 0;
        for (size_t most = 20000; most >= 8; most /= 2)
            for (;;) {
                size_t want = 1 + vt_below(&r, most);
                unsigned char *q = (unsigned char *)vmma_alloc(k, want);
                if (!q)
                    break;
                vt_fill(q, want, (uint32_t)n);
                p[n] = q;
                size[n++] = want;
            }
        while ((p[n] = (unsigned char *)vmma_alloc(k, 1)) != NULL) {
            vt_fill(p[n], 1, (uint32_t)n);
            size[n++] = 1;
        }
        for (size_t i = 0; i < n && i < 400; i++) {
            errno = 0;
            size_t failed = vt_client_stats(k).failed_count;
            CHECK(vmma_realloc(k, p[i], 250000) == NULL, "a growth that cannot be had fails");
            CHECK_EQ(errno, ENOMEM, "ENOMEM");
            CHECK(vmma_test_address(k, p[i]) == 1 && vt_filled(p[i], size[i], (uint32_t)i), "a failure leaves ptr as it was");
            CHECK_EQ(vt_client_stats(k).failed_count, failed + 1, "a failed realloc is counted");
        }
        for (size_t i = 0; i < n; i++) {
            size_t to = vt_below(&r, size[i] + 1);
            unsigned char *q = (unsigned char *)vmma_realloc(k, p[i], to);
            CHECK(q != NULL, "a shrink never fails, also in a full context");
            if (!q)
                continue;
            CHECK(vt_filled(q, to, (uint32_t)i), "a shrink keeps contents");
            p[i] = q;
            size[i] = to ? to : 1;
        }
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after many shrinks");
        for (size_t i = 0; i < n; i++)
            CHECK_ST(vmma_free(k, p[n - 1 - i]), VMMA_OK, "all is freed");
        CHECK_EQ(vt_client_stats(k).live_count, 0, "nothing is left");
        vmma_trim_client(k);
    }
    /* shrinks under a limit below present use, and with a handler that must not be asked */
    unsigned char *q = (unsigned char *)vmma_alloc(k, 20000);
    vt_fill(q, 20000, 6);
    vmma_set_limit(k, 1);
    for (size_t to = 19999; to; to /= 2) {
        q = (unsigned char *)vmma_realloc(k, q, to);
        NEED(q != NULL, "a shrink never fails, also above the limit");
        CHECK(vt_filled(q, to, 6), "contents are kept");
    }
    vmma_delete_context(c);
}

static void aligned_then_realloc(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 2 << 20, 16, 16384, f);
    vmma_client_t *k = vmma_create_client(c);
    for (size_t a = 32; a <= 16384; a *= 2)
        for (size_t n = 1; n < 40000; n = n * 3 + 7) {
            unsigned char *p = (unsigned char *)vmma_aligned_alloc(k, a, n);
            NEED(p != NULL, "an aligned allocation");
            vt_fill(p, n, 11);
            size_t now = n;
            for (size_t to = 1; to < 50000; to = to * 5 + 3) {
                size_t old = now;
                p = (unsigned char *)vmma_realloc(k, p, to);
                NEED(p != NULL, "a realloc of an aligned allocation");
                CHECK(vt_filled(p, old < to ? old : to, 11), "a realloc of an aligned allocation keeps contents");
                CHECK(vt_aligned(p, 16), "and the context's alignment");
                if (!(f & VMMA_FLAG_PACKED))
                    CHECK(vt_aligned(p, vt_pow2_above(to) < 16384 ? vt_pow2_above(to) : 16384), "and the alignment of alloc");
                vt_fill(p, to, 11);
                now = to;
            }
            CHECK_ST(vmma_free(k, p), VMMA_OK, "a free");
        }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
    vmma_delete_context(c);
}

int main(void)
{
    vt_begin("realloc");
    vt_each_mode(basics);
    vt_each_mode(runs);
    if (vt_has(VMMA_FLAG_NO_CACHE))
        buddies();
    vt_each_mode(full);
    vt_each_mode(aligned_then_realloc);
    return vt_end();
}
