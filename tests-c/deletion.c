/*
 * deletion.c: deleting and resetting clients: what it restores, what it costs, what stays. Public API only.
 */
#include "vt_ctx.h"

/* whatever is live, cached or quarantined: afterwards the blocks are exactly as free as before */
static void restores(vmma_flags_t f)
{
    vt_block m = vt_block_open(3 << 20, 200);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 8192, f);
    NEED(c != NULL, "a context");
    vmma_client_t *stay = vmma_create_client(c), *k[3] = {0};
    unsigned char *kept = (unsigned char *)vmma_alloc(stay, 5000);
    vt_fill(kept, 5000, 8);
    vt_random r = {f};
    size_t free_before = vmma_get_free_blocks(c), max_before = vmma_get_max_alloc(stay);
    for (int round = 0; round < (int)vt_loops(60, 8); round++) {
        for (int i = 0; i < 3; i++) {
            k[i] = vmma_create_client(c);
            NEED(k[i] != NULL, "a client");
        }
        CHECK_EQ(vmma_get_free_blocks(c), free_before, "a client without memory costs no block");
        static void *p[3][400];
        memset(p, 0, sizeof p);
        for (int step = 0; step < 3000; step++) {
            int i = (int)vt_below(&r, 3), j = (int)vt_below(&r, 400);
            if (p[i][j]) {
                vmma_free(k[i], p[i][j]);
                p[i][j] = NULL;
            } else {
                p[i][j] = vmma_alloc(k[i], vt_log_size(&r, 1, step % 20 ? 1500 : 50000));
            }
        }
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context in the middle");
        for (int i = 0; i < 3; i++) {
            vmma_client_t *dead = k[(i + round) % 3];
            size_t held = vmma_get_held_size(dead), now = vmma_get_free_blocks(c);
            CHECK_ST(vmma_delete_client(dead), VMMA_OK, "vmma_delete_client: OK, whatever is live");
            CHECK_EQ(vmma_get_free_blocks(c), now + held / 8192, "everything that the client held is free again, whatever was leaked");
            CHECK_ST(vmma_delete_client(dead), VMMA_E_INVALID, "a second deletion: INVALID");
            CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after a deletion");
        }
        CHECK_EQ(vmma_get_free_blocks(c), free_before, "exactly as free as before");
        CHECK_EQ(vmma_get_max_alloc(stay), max_before, "and as whole as before");
        CHECK(vt_filled(kept, 5000, 8), "who stays keeps contents");
    }
    vmma_free(stay, kept);
    CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context");
    vt_block_close(&m);
}

static int never(vmma_client_t *k, size_t n, int reason, void *user)
{
    (void)k, (void)n, (void)reason;
    ++*(int *)user;
    return 0;
}

static void reset(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 2 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    int asked = 0, data = 5;
    size_t fresh = vmma_get_free_blocks(c);
    vmma_set_name(k, "phoenix");
    vmma_set_user_data(k, &data);
    CHECK_ST(vmma_set_limit(k, 100 * 4096), VMMA_OK, "a limit");
    CHECK_ST(vmma_set_guarantee(k, 10 * 4096), VMMA_OK, "a guarantee");
    CHECK_ST(vmma_set_oom_handler(k, never, &asked), VMMA_OK, "a handler");
    for (int round = 0; round < 20; round++) {
        void *p[200];
        for (int i = 0; i < 200; i++)
            p[i] = vmma_alloc(k, 1 + (size_t)(i * 37 + round) % 1500);
        void *run = vmma_alloc(k, 20000);
        CHECK(p[199] && run, "allocations");
        asked = 0;
        CHECK(vmma_alloc(k, 120 * 4096) == NULL && asked == 1, "a failure, the handler is asked");
        CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "a last status");
        CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client: OK");
        CHECK(vmma_get_limit(k) == 100 * 4096 && vmma_get_guarantee(k) == 10 * 4096, "reset: limit and guarantee stay");
        CHECK(strcmp(vmma_get_name(k), "phoenix") == 0 && vmma_get_user_data(k) == &data, "reset: name and user data stay");
        CHECK_ST(vmma_get_last_status(k), VMMA_OK, "reset: the last status starts again");
        vmma_stats_t s = vt_client_stats(k);
        CHECK_EQ(s.live_count + s.live_size + s.failed_count + s.largest_failed, 0, "reset: counts start again");
        CHECK_EQ(vmma_get_peak_held_size(k), vmma_get_held_size(k), "reset: peaks start again");
        CHECK_EQ(vmma_get_client_count(c), 1, "reset: the client is the same");
        for (int i = 0; i < 200; i += 7) {
            CHECK_EQ(vmma_test_address(k, p[i]), 0, "reset: nothing is live");
            CHECK(vmma_free(k, p[i]) < 0, "reset: old pointers are refused");
        }
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after a reset");
        vmma_trim_client(k);
        CHECK_EQ(vmma_get_held_size(k), 0, "reset: nothing is held after trim");
        CHECK_EQ(vmma_get_free_blocks(c), fresh - 10, "reset: all but the guarantee is free");
    }
    asked = 0;
    CHECK(vmma_alloc(k, 120 * 4096) == NULL && asked == 1, "reset: the handler stays");
    vmma_delete_context(c);
}

/* time of one deletion or reset with the same blocks held and `per_block` allocations in each */
static double cost(vmma_flags_t f, size_t size, int by_reset)
{
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        vmma_context_t *c = vmma_create_context(NULL, 48 << 20, 0, 65536, f);
        vmma_client_t *k = vmma_create_client(c);
        size_t n = 0;
        while (vmma_get_held_size(k) < (32u << 20) && vmma_alloc(k, size))
            n++;
        CHECK(n >= 512, "32 MiB are held");
        double start = vt_seconds();
        int status = by_reset ? vmma_reset_client(k) : vmma_delete_client(k);
        double took = vt_seconds() - start;
        CHECK_ST(status, VMMA_OK, "it ends");
        if (took < best)
            best = took;
        vmma_delete_context(c);
    }
    return best;
}

static void costs(void)
{
    if (vt_tool()) {
        vt_skip("costs of deletion", "times mean nothing under the tool");
        return;
    }
    static const vmma_flags_t kinds[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_SHARED_CLIENTS};
    for (unsigned i = 0; i < VT_COUNT(kinds); i++)
        for (int by_reset = 0; by_reset < 2; by_reset++) {
            if (!vt_has(kinds[i]))
                continue;
            vt_mode("%s %s", vt_flags_text(kinds[i]), by_reset ? "reset" : "delete");
            double few = cost(kinds[i], 65536, by_reset), many = cost(kinds[i], 64, by_reset);
            printf("deletion: [%s] 512 live: %.1f us, 524288 live: %.1f us\n", vt_mode_text, few * 1e6, many * 1e6);
            CHECK(many < few * 10 + 50e-6, "the cost does not depend on how many allocations are live");
        }
    vt_mode("-");
}

/* the context ends with all its clients; handles into given memory are seen to be dead */
static void context(vmma_flags_t f)
{
    for (int round = 0; round < 20; round++) {
        vt_block m = vt_block_open(400000, (size_t)round * 8);
        vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 4096, f);
        NEED(c != NULL, "a context");
        vmma_client_t *k[10];
        for (int i = 0; i < 10; i++) {
            k[i] = vmma_create_client(c);
            CHECK(vmma_alloc(k[i], 1 + (size_t)i * 500) != NULL, "something live");
        }
        CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context with live clients: OK");
        CHECK_ST(vmma_delete_context(c), VMMA_E_INVALID, "a second vmma_delete_context of given memory: INVALID");
        for (int i = 0; i < 10; i++)
            CHECK_ST(vmma_delete_client(k[i]), VMMA_E_INVALID, "clients of a deleted context are dead");
        /* the memory is the caller's again, and serves a new context */
        c = vmma_create_context(m.memory, m.size, 8, 1024, f);
        CHECK(c != NULL && vmma_get_client_count(c) == 0, "a new context over the same memory starts empty");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context of a new context over old memory");
        vmma_client_t *n = vmma_create_client(c);
        size_t blocks = vmma_get_free_blocks(c), got = 0;
        while (vmma_alloc(n, 512))
            got++;
        CHECK(vmma_get_held_size(n) == blocks * 1024 && got > 0, "a new context over old memory serves it all");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context when full");
        vmma_delete_context(c);
        memset(m.memory, 0x33, m.size);   /* the caller's again: tools must not object */
        vt_block_close(&m);
    }
}

int main(void)
{
    vt_begin("deletion");
    vt_each_mode(restores);
    vt_each_mode(reset);
    costs();
    vt_each_mode(context);
    return vt_end();
}
