/*
 * flags_quarantine.c: QUARANTINE: freed memory is filled and kept out of use for a while, bounded, first in first
 * out; writes into it are found when it leaves or by the check functions. Public API only; freed memory is read
 * and written through the kernel.
 */
#include "vt_ctx.h"

static vmma_context_t *c;
static vmma_client_t *k;
static vt_errors e;

/* The bound may depend on what the client holds: 2 MiB of live memory make room for what is tested. */
static void *ballast[64];

static void open_context(vmma_flags_t f)
{
    c = vmma_create_context(NULL, 8 << 20, 0, 8192, f);
    k = vmma_create_client(c);
    memset(&e, 0, sizeof e);
    vmma_set_error_handler(c, vt_on_error, &e);
    CHECK(c && k, "a context with QUARANTINE");
    for (unsigned i = 0; i < VT_COUNT(ballast); i++)
        ballast[i] = vmma_alloc(k, i % 2 ? 60000 : 4000);
}

static void kept_out_of_use(vmma_flags_t f)
{
    static const size_t sizes[] = {1, 16, 24, 64, 100, 500, 1024, 3000, 8192, 20000};
    open_context(f);
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        vt_mode("%s size %zu", vt_flags_text(f), sizes[i]);
        unsigned char *p = (unsigned char *)vmma_alloc(k, sizes[i]), *anchor = (unsigned char *)vmma_alloc(k, sizes[i]);
        NEED(p && anchor, "two allocations");
        size_t real = vmma_get_size(k, p), changed = 0;
        memset(p, 0x41, real);
        size_t held = vmma_get_held_size(k);
        CHECK_ST(vmma_free(k, p), VMMA_OK, "vmma_free with QUARANTINE: OK");
        CHECK_EQ(vmma_get_held_size(k), held, "quarantined memory is held");
        for (size_t b = 0; b < real; b++)
            changed += vt_peek_byte(p + b) != 0x41;
        CHECK(changed * 4 >= real * 3, "QUARANTINE: freed memory is filled with a pattern");
        CHECK_EQ(vmma_test_address(k, p), 0, "quarantined memory is not live");
        CHECK_ST(vmma_free(k, p), VMMA_E_DOUBLE_FREE, "a second free of quarantined memory: DOUBLE_FREE");
        unsigned char *q = (unsigned char *)vmma_alloc(k, sizes[i]);
        CHECK(q && q != p, "QUARANTINE: freed memory is kept out of use for a while");
        vmma_stats_t s = vt_client_stats(k);
        CHECK(s.cached_size >= real, "stats: quarantined memory is cached_size");
        CHECK_ST(vmma_check_client(k), VMMA_OK, "an untouched quarantine is sound");
        vmma_free(k, q);
        vmma_free(k, anchor);
    }
    for (unsigned i = 0; i < VT_COUNT(ballast); i++)
        CHECK_ST(vmma_free(k, ballast[i]), VMMA_OK, "the ballast is freed");
    CHECK_ST(vmma_trim_client(k), VMMA_OK, "vmma_trim_client empties the quarantine");
    vmma_stats_t s = vt_client_stats(k);
    CHECK_EQ(s.cached_size, 0, "after trim nothing is quarantined");
    CHECK_EQ(vmma_get_held_size(k), 0, "after trim nothing is held");
    vmma_delete_context(c);
}

static void told(const void *address, const char *by)
{
    (void)by;
    CHECK_EQ(e.count, 1, "USE_AFTER_FREE: the error handler is told once");
    CHECK_ST(e.last.status, VMMA_E_USE_AFTER_FREE, "USE_AFTER_FREE: the exact status");
    CHECK_PTR(e.last.client, k, "USE_AFTER_FREE: the client");
    CHECK_PTR(e.last.address, address, "USE_AFTER_FREE: the first changed byte");
    CHECK_PTR(e.last.allocation, NULL, "USE_AFTER_FREE: no live allocation is concerned");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_USE_AFTER_FREE, "USE_AFTER_FREE: the last status");
    memset(&e, 0, sizeof e);
}

/* By which call the write is found: the check functions, or whatever makes the memory leave. */
static void found(vmma_flags_t f)
{
    static const size_t sizes[] = {1, 16, 24, 100, 1000, 1024, 5000, 8192, 20000};
    enum { CHECK_CLIENT, CHECK_CONTEXT, TRIM_CLIENT, TRIM_CONTEXT, FREES, ALLOCS, WAYS };
    open_context(f);
    for (unsigned i = 0; i < VT_COUNT(sizes); i++)
        for (int way = 0; way < WAYS; way++) {
            vt_mode("%s size %zu way %d", vt_flags_text(f), sizes[i], way);
            unsigned char *p = (unsigned char *)vmma_alloc(k, sizes[i]);
            NEED(p != NULL, "an allocation");
            size_t real = vmma_get_size(k, p);
            memset(p, 0x41, real);
            CHECK_ST(vmma_free(k, p), VMMA_OK, "a free");
            unsigned char *at = p + (way % 3 == 0 ? 0 : way % 3 == 1 ? real - 1 : real / 2);
            vt_flip_byte(at);
            int reports = 0;
            switch (way) {
            case CHECK_CLIENT:
                CHECK_ST(vmma_check_client(k), VMMA_E_USE_AFTER_FREE, "vmma_check_client finds a write into quarantined memory");
                break;
            case CHECK_CONTEXT:
                CHECK_ST(vmma_check_context(c), VMMA_E_USE_AFTER_FREE, "vmma_check_context finds a write into quarantined memory");
                break;
            case TRIM_CLIENT:
                CHECK_ST(vmma_trim_client(k), VMMA_OK, "vmma_trim_client keeps its own result");
                break;
            case TRIM_CONTEXT:
                CHECK_ST(vmma_trim_context(c), VMMA_OK, "vmma_trim_context keeps its own result");
                break;
            case FREES:
                for (int n = 0; n < 200000 && e.count == 0; n++) {
                    void *q = vmma_alloc(k, 64 + (size_t)n % 4000);
                    CHECK(q != NULL, "allocations go on while the quarantine turns over");
                    CHECK_ST(vmma_free(k, q), VMMA_OK, "a free that makes it leave keeps its own result");
                    reports = n;
                }
                CHECK(reports < 199999, "QUARANTINE is bounded: what was freed leaves after enough frees");
                break;
            default: {
                size_t most = vmma_get_max_alloc(k);
                void *q = vmma_alloc(k, most);
                CHECK(q != NULL, "an allocation that needs the quarantine's memory keeps its own result");
                CHECK_ST(vmma_free(k, q), VMMA_OK, "and is freed");
                if (e.count == 0)
                    vmma_trim_client(k);
            }
            }
            told(at, "way");
            vmma_trim_client(k);
            memset(&e, 0, sizeof e);   /* a write that a check found may be told again when the memory leaves */
            CHECK_ST(vmma_check_context(c), VMMA_OK, "after that all is well");
        }
    /* deletion and reset check nothing */
    unsigned char *p = (unsigned char *)vmma_alloc(k, 100);
    vmma_free(k, p);
    vt_flip_byte(p);
    CHECK_ST(vmma_delete_client(k), VMMA_OK, "vmma_delete_client checks nothing");
    CHECK_EQ(e.count, 0, "vmma_delete_client tells nothing");
    vmma_delete_context(c);
}

/* first in first out: what was freed first comes back first */
static void order(vmma_flags_t f)
{
    open_context(f);
    enum { N = 12 };
    static unsigned char *p[N];
    int last = -1, in_order = 1, seen = 0, count[N] = {0};
    void *anchor = vmma_alloc(k, 48);
    for (int i = 0; i < N; i++)
        p[i] = (unsigned char *)vmma_alloc(k, 48);
    for (int i = 0; i < N; i++)
        CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "a free");
    for (int i = 0; i < N; i++)
        vt_flip_byte(p[i]);   /* each is told when it leaves: the order shows */
    e.count = 0;
    for (long n = 0; n < 400000 && seen < N; n++) {
        int before = e.count;
        void *q = vmma_alloc(k, 48);
        CHECK_ST(vmma_free(k, q), VMMA_OK, "the quarantine turns over");
        if (e.count == before)
            continue;
        for (int i = 0; i < N; i++)
            if (e.last.address == p[i]) {
                in_order &= i > last;
                last = i;
                seen += count[i]++ == 0;
            }
        /* several may leave at once: they are told one after the other, the last one is what we see */
        if (e.count >= N)
            break;
    }
    CHECK(e.count >= N, "every write into the quarantine is found when it leaves");
    CHECK(in_order, "QUARANTINE: first in, first out");
    CHECK_ST(vmma_free(k, anchor), VMMA_OK, "the anchor is freed");
    vmma_delete_context(c);
}

static void bounded(vmma_flags_t f)
{
    open_context(f);
    size_t most = 0;
    for (int n = 0; n < (int)vt_loops(30000, 5000); n++) {
        void *p = vmma_alloc(k, 1 + (size_t)n % 3000);
        NEED(p != NULL, "one live allocation at a time never runs out");
        CHECK_ST(vmma_free(k, p), VMMA_OK, "a free");
        if (vmma_get_held_size(k) > most)
            most = vmma_get_held_size(k);
    }
    CHECK(most < (5u << 20), "QUARANTINE is bounded: it never fills the context");
    /* large runs, too */
    for (int n = 0; n < 20; n++) {
        void *p = vmma_alloc(k, 2 << 20);
        NEED(p != NULL, "large allocations one at a time never run out: the quarantine counts as free");
        CHECK_ST(vmma_free(k, p), VMMA_OK, "a free of a large allocation");
    }
    CHECK(vmma_get_max_alloc(k) >= (5u << 20), "vmma_get_max_alloc: the quarantine counts as free");
    void *p = vmma_alloc(k, vmma_get_max_alloc(k));
    CHECK(p != NULL, "and it can be had");
    vmma_free(k, p);
    CHECK_EQ(e.count, 0, "no write, no report");
    vmma_delete_context(c);
}

/* realloc that moves: the old place is quarantined like any freed memory */
static void moves(vmma_flags_t f)
{
    open_context(f);
    for (size_t n = 16; n < 9000; n = n * 3 / 2) {
        unsigned char *p = (unsigned char *)vmma_alloc(k, n), *wall = (unsigned char *)vmma_alloc(k, n);
        vt_fill(p, n, 5);
        unsigned char *q = (unsigned char *)vmma_realloc(k, p, n * 8);
        NEED(q != NULL && wall != NULL, "a growth");
        CHECK(vt_filled(q, n, 5), "contents are kept");
        if (q != p) {
            CHECK_EQ(vmma_test_address(k, p), 0, "the old place is not live");
            vt_flip_byte(p + n / 2);
            CHECK_ST(vmma_check_client(k), VMMA_E_USE_AFTER_FREE, "a write to where a realloc moved from is found");
            vmma_trim_client(k);
        }
        CHECK_ST(vmma_free(k, q), VMMA_OK, "a free");
        CHECK_ST(vmma_free(k, wall), VMMA_OK, "a free");
    }
    vmma_delete_context(c);
}

/* One large free may push out more written pieces than one call tells of. */
static void many_at_once(vmma_flags_t f)
{
    enum { PIECES = 30 };
    c = vmma_create_context(NULL, 1 << 20, 0, 65536, f);
    k = vmma_create_client(c);
    memset(&e, 0, sizeof e);
    vmma_set_error_handler(c, vt_on_error, &e);
    unsigned char *p[PIECES], *large = (unsigned char *)vmma_alloc(k, 30000), *anchor = (unsigned char *)vmma_alloc(k, 64);
    /* two for each KiB of the block size, whatever the client holds */
    void *room = vmma_alloc(k, 400000);
    for (int i = 0; i < 200; i++)
        CHECK_ST(vmma_free(k, vmma_alloc(k, 16)), VMMA_OK, "many small frees");
    size_t each = vmma_get_good_size(c, 16) + (f & VMMA_FLAG_GUARD ? 16 : 0);
    CHECK(vt_client_stats(k).cached_size <= 128 * each, "at most 128 allocations are in quarantine at blocks of 64 KiB");
    CHECK(vt_client_stats(k).cached_size >= 128 * 16, "and no fewer, where there is room");
    CHECK_ST(vmma_free(k, room), VMMA_OK, "the room is freed");
    CHECK_ST(vmma_trim_client(k), VMMA_OK, "and the quarantine emptied");
    for (int i = 0; i < PIECES; i++)
        CHECK((p[i] = (unsigned char *)vmma_alloc(k, 64)) != NULL, "small pieces");
    for (int i = 0; i < PIECES; i++) {
        CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "into the quarantine");
        vt_flip_byte(p[i] + 7);
    }
    CHECK_EQ(e.count, 0, "all of them still wait");
    CHECK_ST(vmma_free(k, large), VMMA_OK, "a large free keeps its result, whatever it pushes out");
    CHECK(vt_client_stats(k).cached_size * 2 <= vmma_get_held_size(k), "at most half of what the client holds is in quarantine, whatever was written");
    CHECK_ST(vmma_trim_client(k), VMMA_OK, "and so does a trim");
    CHECK_EQ(e.count, PIECES, "of each write into quarantined memory the handler is told, however many leave at once");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after it");
    CHECK_ST(vmma_free(k, anchor), VMMA_OK, "the anchor is freed");
    vmma_delete_context(c);
}

int main(void)
{
    static const vmma_flags_t beside[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_GUARD, VMMA_FLAG_ZERO, VMMA_FLAG_WIPE, VMMA_FLAG_SHARED_CLIENTS,
                                          VMMA_FLAG_GUARD | VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE, VMMA_FLAG_WIPE | VMMA_FLAG_RELEASE | VMMA_FLAG_GUARD};
    vt_begin("flags_quarantine");
    for (unsigned i = 0; i < VT_COUNT(beside); i++) {
        vmma_flags_t f = beside[i] | VMMA_FLAG_QUARANTINE;
        if (!vt_has(f)) {
            vt_skip(vt_flags_text(f), "not in this build");
            continue;
        }
        if (!vt_loops(1, 0) && i % 4)
            continue;
        vt_mode("%s", vt_flags_text(f));
        kept_out_of_use(f);
        found(f);
        vt_mode("%s", vt_flags_text(f));
        order(f);
        bounded(f);
        moves(f);
        many_at_once(f);
    }
    return vt_end();
}
