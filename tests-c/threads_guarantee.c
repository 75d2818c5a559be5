/*
 * threads_guarantee.c: SHARED_CLIENTS with guarantees: the context may be checked, trimmed, walked and counted while
 * threads take and give blocks; nothing about it looks corrupt meanwhile. Public API only.
 */
#include "vt_ctx.h"
#include <pthread.h>

enum { THREADS = 3, CLIENTS = 2 };

static vmma_context_t *context;
static vmma_client_t *clients[CLIENTS];
static int running;

static void *take_and_give(void *arg)
{
    vt_random r = {(uint64_t)(intptr_t)arg + 1};
    for (long step = vt_loops(8000, 600); step > 0; step--) {
        vmma_client_t *k = clients[vt_below(&r, CLIENTS)];
        /* around a block, so that nearly every call asks the context for one or gives one back */
        void *p = vmma_alloc(k, 3000 + vt_below(&r, 9000));
        CHECK(p != NULL || vmma_get_free_blocks(context) < 64, "an allocation within the guarantee");
        if (vt_below(&r, 50) == 0)
            CHECK_ST(vmma_set_guarantee(k, (1 + vt_below(&r, 8)) << 14), VMMA_OK, "a guarantee is changed while others work");
        CHECK_ST(vmma_free(k, p), VMMA_OK, "a free");
    }
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int visit(vmma_client_t *k, void *user)
{
    (void)k;
    *(long *)user += 1;
    return 0;
}

static void all(vmma_flags_t f)
{
    pthread_t threads[THREADS];
    vt_mode("%s", vt_flags_text(f));
    context = vmma_create_context(NULL, 4 << 20, 0, 4096, f | VMMA_FLAG_SHARED_CLIENTS);
    NEED(context != NULL, "a context");
    size_t before = vmma_get_free_blocks(context);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = vmma_create_client(context);
        CHECK_ST(vmma_set_guarantee(clients[i], 1 << 16), VMMA_OK, "a guarantee");
    }
    running = THREADS;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_give, (void *)(intptr_t)i);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0) {
        long count = 0;
        CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context finds nothing while blocks come and go");
        CHECK_ST(vmma_check_client(clients[0]), VMMA_OK, "vmma_check_client finds nothing while blocks come and go");
        CHECK_ST(vmma_trim_context(context), VMMA_OK, "vmma_trim_context while blocks come and go");
        CHECK_ST(vmma_walk_clients(context, visit, &count), 0, "vmma_walk_clients while blocks come and go");
        CHECK_EQ(count, CLIENTS, "it sees all clients");
        vmma_stats_t stats = {0};
        stats.struct_size = sizeof stats;
        CHECK_ST(vmma_populate_context_stats(context, &stats), VMMA_OK, "figures while blocks come and go");
        for (int i = 0; i < CLIENTS; i++) {
            vmma_client_t *k = clients[i];
            int data;
            vmma_set_user_data(k, &data);
            CHECK_ST(vmma_set_name(k, i ? "one" : "another"), VMMA_OK, "a name is set while others work");
            CHECK(vmma_get_held_size(k) <= (4 << 20) && vmma_get_peak_held_size(k) <= (4 << 20), "a size of its own time");
            CHECK(vmma_get_guarantee(k) <= (8 << 14) && vmma_get_limit(k) == 0, "a guarantee of its own time");
            CHECK(vmma_get_user_data(k) == &data && vmma_get_last_status(k) <= 0, "what only this thread sets");
            CHECK(vmma_get_max_alloc(k) <= (4 << 20), "a largest allocation of its own time");
        }
        CHECK(vmma_get_peak_blocks(context) <= vmma_get_total_blocks(context), "at-once getters");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_ST(vmma_check_context(context), VMMA_OK, "sound at the end");
    for (int i = 0; i < CLIENTS; i++)
        CHECK_ST(vmma_delete_client(clients[i]), VMMA_OK, "the clients end");
    CHECK_EQ(vmma_get_free_blocks(context), before, "as free as before");
    CHECK_ST(vmma_delete_context(context), VMMA_OK, "the context ends");
}

int main(void)
{
    vt_begin("threads_guarantee");
    all(0);
    all(VMMA_FLAG_NO_CACHE);
    all(VMMA_FLAG_PACKED | VMMA_FLAG_QUARANTINE);
    return vt_end();
}
