/*
 * limits.c: limits, guarantees and vmma_get_max_alloc, exactly as API.md says. Public API only.
 */
#include "vt_ctx.h"

enum { BS = 4096 };

static vmma_context_t *open_context(vmma_flags_t f)
{
    return vmma_create_context(NULL, 1 << 20, 0, BS, f);
}

/* bytes of a request that takes exactly one block, whatever the flags */
static size_t block_request(vmma_flags_t f)
{
    return f & VMMA_FLAG_GUARD ? BS - 512 : BS;
}

static void limits(vmma_flags_t f)
{
    static const size_t set[] = {1, 100, BS - 1, BS, BS + 1, 3 * BS, 3 * BS + 5, 10 * BS - 1, 10 * BS, 40 * BS + 17};
    for (unsigned i = 0; i < VT_COUNT(set); i++) {
        vt_mode("%s limit %zu", vt_flags_text(f), set[i]);
        vmma_context_t *c = open_context(f);
        vmma_client_t *k = vmma_create_client(c), *other = vmma_create_client(c);
        size_t blocks = (set[i] + BS - 1) / BS, n = 0;
        CHECK_EQ(vmma_get_limit(k), 0, "a new client has no limit");
        CHECK_ST(vmma_set_limit(k, set[i]), VMMA_OK, "vmma_set_limit: OK");
        CHECK_EQ(vmma_get_limit(k), set[i], "vmma_get_limit: as it was set");
        void *last = NULL, *p;
        while ((p = vmma_alloc(k, block_request(f))) != NULL) {
            last = p;
            n++;
        }
        CHECK_EQ(n, blocks, "a limit is rounded up to whole blocks in effect");
        CHECK_EQ(vmma_get_held_size(k), blocks * BS, "a client may hold its limit, rounded up, and no more");
        CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "above the limit: LIMIT");
        errno = 0;
        CHECK(vmma_alloc(k, 1) == NULL && errno == ENOMEM, "a full client gets not even a byte, errno ENOMEM");
        CHECK(vmma_alloc(other, block_request(f)) != NULL, "another client is not limited by it");
        CHECK_ST(vmma_free(k, last), VMMA_OK, "a free at the limit");
        CHECK(vmma_alloc(k, block_request(f)) != NULL, "what is freed can be allocated again under the limit");
        CHECK_ST(vmma_set_limit(k, set[i] + BS), VMMA_OK, "a limit can be raised");
        CHECK(vmma_alloc(k, block_request(f)) != NULL, "a raised limit gives one more block");
        CHECK(vmma_alloc(k, block_request(f)) == NULL, "and not two");
        size_t held = vmma_get_held_size(k);
        CHECK_ST(vmma_set_limit(k, 1), VMMA_OK, "a limit below present use is allowed");
        CHECK_EQ(vmma_get_limit(k), 1, "a limit below present use is kept as set");
        CHECK_EQ(vmma_get_held_size(k), held, "a limit below present use takes nothing away");
        CHECK(vmma_alloc(k, block_request(f)) == NULL, "a limit below present use: further growth fails");
        CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "a limit below present use: LIMIT");
        CHECK_ST(vmma_set_limit(k, 0), VMMA_OK, "0 = unlimited");
        CHECK(vmma_alloc(k, block_request(f)) != NULL, "unlimited again");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
        vmma_delete_context(c);
    }
    /* runs and realloc are bound by it, too; the limit survives a reset */
    vmma_context_t *c = open_context(f);
    vmma_client_t *k = vmma_create_client(c);
    vmma_set_limit(k, 8 * BS);
    CHECK(vmma_alloc(k, 9 * BS) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "a run above the limit: LIMIT");
    void *p = vmma_alloc(k, 7 * BS);
    CHECK(p != NULL, "a run within the limit");
    CHECK(vmma_realloc(k, p, 12 * BS) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "a realloc above the limit: LIMIT");
    CHECK_EQ(vmma_test_address(k, p), 1, "a failed realloc leaves ptr as it was");
    CHECK(vmma_calloc(k, 2, 6 * BS) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "a calloc above the limit: LIMIT");
    CHECK(vmma_aligned_alloc(k, BS, 10 * BS) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "an aligned_alloc above the limit: LIMIT");
    vmma_reset_client(k);
    CHECK_EQ(vmma_get_limit(k), 8 * BS, "the limit stays over a reset");
    CHECK(vmma_alloc(k, 9 * BS) == NULL, "the limit is in effect after a reset");
    CHECK(vmma_alloc(k, SIZE_MAX / 4) == NULL && vmma_get_last_status(k) == VMMA_E_NO_MEMORY,
          "sizes that even the empty context could not serve: NO_MEMORY, whatever the limit");
    vmma_delete_context(c);
}

static void guarantees(vmma_flags_t f)
{
    static const size_t set[] = {1, BS - 1, BS, BS + 1, 7 * BS, 7 * BS + 1, 50 * BS};
    for (unsigned i = 0; i < VT_COUNT(set); i++) {
        vt_mode("%s guarantee %zu", vt_flags_text(f), set[i]);
        vmma_context_t *c = open_context(f);
        vmma_client_t *a = vmma_create_client(c), *b = vmma_create_client(c);
        size_t fresh = vmma_get_free_blocks(c), blocks = (set[i] + BS - 1) / BS, n = 0, m = 0;
        CHECK_ST(vmma_set_guarantee(a, set[i]), VMMA_OK, "vmma_set_guarantee: OK");
        CHECK_EQ(vmma_get_guarantee(a), set[i], "vmma_get_guarantee: as it was set");
        CHECK_EQ(vmma_get_free_blocks(c), fresh - blocks, "vmma_get_free_blocks leaves out what is set aside and not yet held");
        CHECK_EQ(vmma_get_held_size(a), 0, "what is set aside is not held");
        while (vmma_alloc(b, block_request(f)))
            m++;
        CHECK_EQ(m, fresh - blocks, "blocks set aside can be taken by no other client");
        CHECK_ST(vmma_get_last_status(b), VMMA_E_NO_MEMORY, "the other client: NO_MEMORY");
        CHECK_EQ(vmma_get_max_alloc(b), 0, "vmma_get_max_alloc of the other client leaves the guarantee out");
        CHECK_ST(vmma_set_guarantee(b, (fresh - blocks) * BS), VMMA_OK, "blocks held count towards the guarantee");
        CHECK_ST(vmma_set_guarantee(b, (fresh - blocks + 1) * BS), VMMA_E_NO_MEMORY, "guarantees are never over-committed: NO_MEMORY");
        CHECK_EQ(vmma_get_guarantee(b), (fresh - blocks) * BS, "a refused guarantee leaves the old one");
        while (vmma_alloc(a, block_request(f)))
            n++;
        CHECK_EQ(n, blocks, "a guarantee is kept when another client took all it could");
        CHECK_EQ(vmma_get_free_blocks(c), 0, "then nothing is free");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
        CHECK_ST(vmma_reset_client(a), VMMA_OK, "vmma_reset_client");
        vmma_trim_client(a);
        CHECK_EQ(vmma_get_guarantee(a), set[i], "the guarantee stays over a reset");
        CHECK(vmma_alloc(b, 1) == NULL, "after a reset the guarantee is still set aside");
        for (n = 0; vmma_alloc(a, block_request(f)); n++)
            ;
        CHECK_EQ(n, blocks, "the guarantee serves again after a reset");
        CHECK_ST(vmma_delete_client(a), VMMA_OK, "vmma_delete_client with a guarantee");
        CHECK_EQ(vmma_get_free_blocks(c), blocks, "a deleted client's guarantee is free");
        vmma_delete_client(b);
        CHECK_EQ(vmma_get_free_blocks(c), fresh, "all is free");
        vmma_delete_context(c);
    }
    vmma_context_t *c = open_context(f);
    vmma_client_t *a = vmma_create_client(c);
    size_t fresh = vmma_get_free_blocks(c);
    vt_mode("%s", vt_flags_text(f));
    for (int i = 0; i < 3; i++)
        CHECK(vmma_alloc(a, block_request(f)) != NULL, "three blocks held");
    CHECK_ST(vmma_set_guarantee(a, 5 * BS), VMMA_OK, "a guarantee above what is held");
    CHECK_EQ(vmma_get_free_blocks(c), fresh - 5, "blocks held count towards the guarantee");
    CHECK_ST(vmma_set_guarantee(a, 2 * BS), VMMA_OK, "a guarantee below what is held");
    CHECK_EQ(vmma_get_free_blocks(c), fresh - 3, "a guarantee below what is held sets nothing aside");
    CHECK_ST(vmma_set_guarantee(a, fresh * BS), VMMA_OK, "a guarantee of everything");
    CHECK_EQ(vmma_get_free_blocks(c), 0, "a guarantee of everything leaves nothing");
    CHECK_ST(vmma_set_guarantee(a, fresh * BS + 1), VMMA_E_NO_MEMORY, "a byte above everything: NO_MEMORY");
    CHECK_ST(vmma_set_guarantee(a, 0), VMMA_OK, "no guarantee");
    CHECK_EQ(vmma_get_free_blocks(c), fresh - 3, "no guarantee: nothing is set aside");
    /* limit against guarantee, compared in bytes, before anything else */
    CHECK_ST(vmma_set_limit(a, 1000), VMMA_OK, "a limit of 1000 bytes");
    CHECK_ST(vmma_set_guarantee(a, 1001), VMMA_E_INVALID, "a guarantee above the limit is INVALID, compared in bytes");
    CHECK_ST(vmma_set_guarantee(a, SIZE_MAX), VMMA_E_INVALID, "a guarantee above the limit is INVALID before NO_MEMORY");
    CHECK_ST(vmma_set_guarantee(a, 1000), VMMA_OK, "a guarantee equal to the limit");
    CHECK_ST(vmma_set_limit(a, 999), VMMA_E_INVALID, "a limit below the guarantee is INVALID, compared in bytes");
    CHECK_EQ(vmma_get_limit(a), 1000, "a refused limit leaves the old one");
    CHECK_EQ(vmma_get_guarantee(a), 1000, "a refused limit leaves the guarantee");
    CHECK_ST(vmma_set_limit(a, 0), VMMA_OK, "limit 0 is unlimited, not below the guarantee");
    CHECK_ST(vmma_set_guarantee(a, 3000), VMMA_OK, "without a limit any guarantee that is there");
    CHECK_ST(vmma_set_guarantee(a, 0), VMMA_OK, "guarantee 0");
    CHECK_ST(vmma_set_limit(a, 1), VMMA_OK, "limit 1 without a guarantee");
    vmma_delete_context(c);
}

/* others do what they like: requests up to a block within the guarantee never fail */
static void guarantee_under_pressure(vmma_flags_t f)
{
    vt_random r = {f + 5};
    vmma_context_t *c = open_context(f);
    vmma_client_t *g = vmma_create_client(c), *o[3];
    static void *theirs[3][400];
    void *mine[40] = {0};
    size_t whole = 12, n = 0, fresh = vmma_get_free_blocks(c);
    memset(theirs, 0, sizeof theirs);
    for (int i = 0; i < 3; i++)
        o[i] = vmma_create_client(c);
    CHECK_ST(vmma_set_guarantee(g, whole * BS), VMMA_OK, "a guarantee of 12 blocks");
    for (long step = 0; step < vt_loops(8000, 600); step++) {
        int k = (int)vt_below(&r, 3);
        void **p = &theirs[k][vt_below(&r, 400)];
        if (*p && vt_below(&r, 5) == 0) {
            vmma_free(o[k], *p);
            *p = NULL;
        } else if (!*p) {
            *p = vmma_alloc(o[k], vt_log_size(&r, 1, 8 * BS));
        }
        if (step % 1000 == 999) {
            vmma_delete_client(o[k]);
            memset(theirs[k], 0, sizeof theirs[k]);
            o[k] = vmma_create_client(c);
        }
        if (vt_below(&r, 4) == 0) {
            if (n < whole && vt_below(&r, 5)) {
                mine[n] = vmma_alloc(g, block_request(f));
                CHECK(mine[n] != NULL, "a guarantee holds for requests up to a block, whatever others do");
                if (!mine[n])
                    break;
                n++;
            } else if (n) {
                CHECK_ST(vmma_free(g, mine[--n]), VMMA_OK, "free within the guarantee");
            }
        }
        size_t held = vmma_get_held_size(g) / BS, others = 0;
        for (int i = 0; i < 3; i++)
            others += vmma_get_held_size(o[i]) / BS;
        size_t aside = held < whole ? whole - held : 0;
        CHECK_EQ(vmma_get_free_blocks(c) + held + others + aside, fresh, "total = free + held + records' + set aside");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
    vmma_delete_context(c);
}

/* n such that vmma_alloc(n) would succeed and n + 1 fail */
static void max_alloc(vmma_flags_t f)
{
    vt_random r = {f + 77};
    for (int round = 0; round < (int)vt_loops(40, 5); round++) {
        size_t bs = round % 3 == 0 ? 1024 : round % 3 == 1 ? 4096 : 32768;
        vmma_context_t *c = vmma_create_context(NULL, bs * 30, 8, bs, f);
        if (!c)
            continue;
        vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c);
        void *p[60] = {0};
        for (int step = 0; step < 300; step++) {
            int i = (int)vt_below(&r, 60);
            vmma_client_t *who = i % 3 ? k : o;
            if (p[i]) {
                vmma_free(who, p[i]);
                p[i] = NULL;
            } else {
                p[i] = vmma_alloc(who, vt_log_size(&r, 1, bs * 3));
            }
            if (step % 60 == 0) {
                vmma_set_guarantee(k, 0);
                vmma_set_limit(k, vt_below(&r, 3) ? 0 : vt_below(&r, 20 * bs));
                if (vmma_get_limit(k) == 0)
                    vmma_set_guarantee(k, vt_below(&r, 4 * bs));
                vmma_set_guarantee(o, vt_below(&r, 4 * bs));
            }
            if (step % 7)
                continue;
            vt_mode("%s block %zu round %d step %d", vt_flags_text(f), bs, round, step);
            int status = vmma_get_last_status(k);
            size_t most = vmma_get_max_alloc(k);
            CHECK_EQ(vmma_get_max_alloc(k), most, "vmma_get_max_alloc asked twice says the same");
            CHECK_ST(vmma_get_last_status(k), status, "vmma_get_max_alloc is not a failure");
            if (step % 2) {
                CHECK(vmma_alloc(k, most + 1) == NULL, "vmma_get_max_alloc + 1 fails");
                CHECK_EQ(vmma_get_max_alloc(k), most, "a failure does not change the maximum");
            }
            if (most) {
                void *q = vmma_alloc(k, most);
                CHECK(q != NULL, "vmma_get_max_alloc bytes succeed");
                if (q) {
                    memset(q, 0x3c, most);
                    CHECK_ST(vmma_free(k, q), VMMA_OK, "they are freed");
                }
                CHECK(vmma_get_max_alloc(k) >= most, "caches count as free: the maximum does not shrink by a free");
            }
            most = vmma_get_max_alloc(k);
            CHECK(vmma_alloc(k, most + 1) == NULL, "vmma_get_max_alloc + 1 fails (afterwards)");
        }
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
        vmma_delete_context(c);
    }
    vt_mode("-");
}

/* Above its limit a client can't take blocks again that it gave back. */
static void kept_above_the_limit(vmma_flags_t f)
{
    for (size_t more = 1; more <= 5; more++) {
        vmma_context_t *c = vmma_create_context(NULL, 2u << 20, 0, 16384, f);
        vmma_client_t *k = vmma_create_client(c);
        void *p[10];
        for (int i = 0; i < 10; i++)
            CHECK((p[i] = vmma_alloc(k, 12000)) != NULL, "ten blocks or so");
        CHECK_ST(vmma_set_limit(k, 32768), VMMA_OK, "a limit below present use");
        for (int i = 2; i < 9; i++)
            CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "most of it is freed");
        size_t most = vmma_get_max_alloc(k), small = most < 16000 ? most : 12000;
        for (int again = 0; again < 3; again++) {
            CHECK(vmma_alloc(k, 16384 * more + 1) == NULL, "what the limit does not allow");
            CHECK_EQ(vmma_get_max_alloc(k), most, "a failure above the limit loses nothing");
        }
        if (small)
            CHECK(vmma_alloc(k, small) != NULL, "and what could be had before can be had");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context above the limit");
        vmma_delete_context(c);
    }
}

int main(void)
{
    vt_begin("limits");
    vt_each_mode(kept_above_the_limit);
    vt_each_mode(limits);
    vt_each_mode(guarantees);
    vt_each_mode(guarantee_under_pressure);
    vt_each_mode(max_alloc);
    if (vt_has(VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE))
        max_alloc(VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE);
    return vt_end();
}
