/*
 * flags_guard.c: GUARD: a red zone of at least 8 bytes from the requested size on, found at free, at realloc and
 * by the check functions. Public API only; red zones are written through the kernel.
 */
#include "vt_ctx.h"

static vmma_context_t *c;
static vmma_client_t *k;
static vt_errors e;

static void open_context(vmma_flags_t f)
{
    c = vmma_create_context(NULL, 4 << 20, 0, 8192, f);
    k = vmma_create_client(c);
    memset(&e, 0, sizeof e);
    vmma_set_error_handler(c, vt_on_error, &e);
    CHECK(c && k, "a context with GUARD");
}

static void told(int status, const void *address, const void *allocation, size_t size, const char *what)
{
    CHECK_EQ(e.count, 1, "the error handler is told once");
    CHECK_ST(e.last.status, status, "the error handler is told the exact status");
    CHECK_PTR(e.last.client, k, "the error names the client");
    CHECK_PTR(e.last.address, address, "OVERRUN: the first changed byte");
    CHECK_PTR(e.last.allocation, allocation, "OVERRUN: the allocation concerned");
    CHECK_EQ(e.last.size, size, "OVERRUN: its size");
    CHECK_ST(vmma_get_last_status(k), status, "OVERRUN is the last status");
    (void)what;
    memset(&e, 0, sizeof e);
}

static void overruns(vmma_flags_t f)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 55, 56, 57, 63, 64, 65, 100, 120, 121, 127, 128, 500,
                                   504, 505, 512, 1000, 1016, 1017, 1024, 2000, 4088, 4089, 4096, 8000, 8184, 8185, 8192, 10000, 16384, 50000};
    open_context(f);
    for (unsigned i = 0; i < VT_COUNT(sizes); i++)
        for (int at = 0; at < 8; at++) {
            size_t n = sizes[i] ? sizes[i] : 1;
            vt_mode("%s size %zu, byte %d behind", vt_flags_text(f), sizes[i], at);
            unsigned char *p = (unsigned char *)(at % 3 == 0 ? vmma_alloc(k, sizes[i]) : at % 3 == 1 ? vmma_calloc(k, 1, sizes[i]) : vmma_aligned_alloc(k, 64, sizes[i]));
            NEED(p != NULL, "an allocation");
            CHECK_EQ(vmma_get_size(k, p), n, "GUARD: vmma_get_size is exactly the size asked for");
            memset(p, 0x41, n);
            CHECK_ST(vmma_check_client(k), VMMA_OK, "the whole allocation may be written");
            CHECK_EQ(vmma_test_address(k, p + n), 0, "the red zone is not part of the allocation");
            CHECK_PTR(vmma_find_client(c, p + n), NULL, "vmma_find_client: the red zone holds no live allocation");
            CHECK_ST(vmma_free(k, p + n), VMMA_E_NOT_START, "a free of the red zone: NOT_START");
            CHECK_EQ(e.count, 1, "told of NOT_START");
            CHECK_PTR(e.last.allocation, p, "NOT_START: the live allocation concerned");
            memset(&e, 0, sizeof e);
            vt_flip_byte(p + n + at);
            CHECK_ST(vmma_check_client(k), VMMA_E_OVERRUN, "vmma_check_client finds one changed byte in the red zone");
            told(VMMA_E_OVERRUN, p + n + at, p, n, "check");
            CHECK_ST(vmma_check_context(c), VMMA_E_OVERRUN, "vmma_check_context finds it");
            memset(&e, 0, sizeof e);
            CHECK_EQ(vmma_test_address(k, p), 1, "a check frees nothing");
            errno = VT_ERRNO_MARK;
            CHECK_ST(vmma_free(k, p), VMMA_E_OVERRUN, "vmma_free of an overrun allocation returns OVERRUN");
            CHECK_EQ(errno, VT_ERRNO_MARK, "and leaves errno alone");
            told(VMMA_E_OVERRUN, p + n + at, p, n, "free");
            CHECK_EQ(vmma_test_address(k, p), 0, "an overrun allocation is freed");
            CHECK_ST(vmma_check_context(c), VMMA_OK, "after that all is well");
        }
    CHECK_EQ(vt_client_stats(k).live_count, 0, "nothing is left");
    vmma_delete_context(c);
}

/* realloc meets an overrun: it reports it and proceeds */
static void reallocs(vmma_flags_t f)
{
    static const size_t sizes[] = {1, 24, 100, 1000, 5000, 20000};
    static const size_t next[] = {1, 5, 25, 101, 900, 1100, 6000, 30000};
    open_context(f);
    for (unsigned i = 0; i < VT_COUNT(sizes); i++)
        for (unsigned j = 0; j < VT_COUNT(next); j++) {
            vt_mode("%s from %zu to %zu", vt_flags_text(f), sizes[i], next[j]);
            unsigned char *p = (unsigned char *)vmma_alloc(k, sizes[i]);
            NEED(p != NULL, "an allocation");
            vt_fill(p, sizes[i], 7);
            vt_flip_byte(p + sizes[i]);
            unsigned char *q = (unsigned char *)vmma_realloc(k, p, next[j]);
            CHECK(q != NULL, "a realloc that meets an overrun proceeds");
            told(VMMA_E_OVERRUN, p + sizes[i], p, sizes[i], "realloc");
            if (!q)
                continue;
            CHECK_EQ(vmma_get_size(k, q), next[j], "GUARD: the new size exactly");
            CHECK(vt_filled(q, sizes[i] < next[j] ? sizes[i] : next[j], 7), "contents are kept");
            CHECK_ST(vmma_check_client(k), VMMA_OK, "the new red zone is whole");
            vt_flip_byte(q + next[j] + 7);
            CHECK_ST(vmma_free(k, q), VMMA_E_OVERRUN, "the new red zone is watched: 8 bytes from the new size on");
            told(VMMA_E_OVERRUN, q + next[j] + 7, q, next[j], "free");
        }
    /* a realloc without an overrun tells nothing */
    unsigned char *p = (unsigned char *)vmma_alloc(k, 100);
    for (size_t n = 1; n < 300; n += 13) {
        p = (unsigned char *)vmma_realloc(k, p, n);
        NEED(p != NULL, "a realloc");
        memset(p, 1, n);
    }
    CHECK_ST(vmma_free(k, p), VMMA_OK, "no overrun, no report");
    CHECK_EQ(e.count, 0, "a healthy realloc tells nothing");
    /* deletion and reset check nothing */
    p = (unsigned char *)vmma_alloc(k, 50);
    vt_flip_byte(p + 50);
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client of a client with an overrun: OK");
    p = (unsigned char *)vmma_alloc(k, 50);
    vt_flip_byte(p + 51);
    CHECK_ST(vmma_delete_client(k), VMMA_OK, "vmma_delete_client checks nothing");
    CHECK_EQ(e.count, 0, "vmma_delete_client tells nothing");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after that");
    vmma_delete_context(c);
}

/* many at once, neighbours unharmed; the bytes differ from place to place */
static void places(vmma_flags_t f)
{
    open_context(f);
    enum { N = 400 };
    unsigned char *p[N], zone[N][8];
    size_t n[N];
    vt_random r = {f};
    int different = 0;
    for (int i = 0; i < N; i++) {
        n[i] = vt_log_size(&r, 1, 900);
        p[i] = (unsigned char *)vmma_alloc(k, n[i]);
        NEED(p[i] != NULL, "an allocation");
        memset(p[i], i, n[i]);
        vt_peek(zone[i], p[i] + n[i], 8);
        different += i > 0 && memcmp(zone[i], zone[i - 1], 8) != 0;
    }
    CHECK(different > N / 2, "the bytes of red zones differ from place to place");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "all red zones are whole");
    for (int i = 0; i < N; i += 2)
        vt_flip_byte(p[i] + n[i] + vt_below(&r, 8));
    CHECK_ST(vmma_check_client(k), VMMA_E_OVERRUN, "several overruns: OVERRUN");
    for (int i = 0; i < N; i++)
        CHECK_ST(vmma_free(k, p[i]), i % 2 ? VMMA_OK : VMMA_E_OVERRUN, "exactly the overrun ones are reported");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "after that all is well");
    /* shrinking contents into the red zone's old bytes must not go unseen: 0, 0xff and a repeat of the last byte */
    static const unsigned char written[] = {0x00, 0xff, 0x41, 0xcc, 0xaa, 0x55, 0xfd};
    int found = 0, tried = 0;
    for (unsigned w = 0; w < VT_COUNT(written); w++)
        for (int i = 0; i < 40; i++) {
            unsigned char *q = (unsigned char *)vmma_alloc(k, 40);
            unsigned char run[8];
            memset(run, written[w], sizeof run);
            vt_poke(q + 40, run, sizeof run);
            tried++;
            found += vmma_free(k, q) == VMMA_E_OVERRUN;
        }
    CHECK_EQ(found, tried, "an overrun by 8 equal bytes is always found");
    vmma_delete_context(c);
}

int main(void)
{
    static const vmma_flags_t beside[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_ZERO, VMMA_FLAG_WIPE, VMMA_FLAG_QUARANTINE,
                                          VMMA_FLAG_THREADS, VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_THREADS, VMMA_FLAG_PACKED | VMMA_FLAG_QUARANTINE | VMMA_FLAG_ZERO,
                                          VMMA_FLAG_WIPE | VMMA_FLAG_QUARANTINE | VMMA_FLAG_RELEASE};
    vt_begin("flags_guard");
    for (unsigned i = 0; i < VT_COUNT(beside); i++) {
        vmma_flags_t f = beside[i] | VMMA_FLAG_GUARD;
        if (!vt_has(f)) {
            vt_skip(vt_flags_text(f), "not in this build");
            continue;
        }
        vt_mode("%s", vt_flags_text(f));
        if (vt_loops(1, 0) || i % 3 == 0)
            overruns(f);
        reallocs(f);
        places(f);
    }
    return vt_end();
}
