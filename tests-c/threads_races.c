/*
 * threads_races.c: what one thread does in a few instructions between two looks of another: clients that end beside others'
 * runs, clients that are reset while they are used, sizes asked while the neighbours change, clients that are created beside
 * questions about all. Public API only. Each of these once failed in a few seconds, or under ThreadSanitizer; here they run for
 * as long as a suite has time.
 */
#include "vt_ctx.h"
#include <pthread.h>

enum { BLOCK = 16384, PIECES = 24 };

static vmma_context_t *context;
static vmma_client_t *client;
static int running;

static int goes_on(void) { return __atomic_load_n(&running, __ATOMIC_ACQUIRE); }

/* Runs `other` while `body` does its rounds. */
static void beside(void *(*other)(void *), void (*body)(int), int rounds)
{
    pthread_t t;
    running = 1;
    if (pthread_create(&t, NULL, other, NULL))
        exit(2);
    for (int i = 0; i < rounds; i++)
        body(i);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    pthread_join(t, NULL);
}

/* ---- a client ends beside another's runs ---- */

static void *come_and_go(void *arg)
{
    vt_random r = {5};
    (void)arg;
    while (goes_on()) {
        vmma_client_t *k = vmma_create_client(context);
        for (int i = 0; k && i < 6; i++)
            (void)vmma_alloc(k, BLOCK + vt_below(&r, 3 * BLOCK));
        if (k && vt_below(&r, 3) == 0)
            CHECK_ST(vmma_reset_client(k), VMMA_OK, "a client is reset beside others");
        if (k)
            CHECK_ST(vmma_delete_client(k), VMMA_OK, "a client ends beside others");
    }
    return NULL;
}

static void run_comes_and_goes(int i)
{
    size_t size = BLOCK + 1 + (size_t)i % 7 * 5000;
    unsigned char *p = (unsigned char *)vmma_alloc(client, size);
    if (!p)
        return;
    p[0] = p[size - 1] = (unsigned char)i;
    CHECK(p[0] == (unsigned char)i && p[size - 1] == (unsigned char)i, "a run beside a client that ends keeps its content");
    CHECK_ST(vmma_free(client, p), VMMA_OK, "a run beside a client that ends is freed by its owner");
}

static void ends_beside_runs(vmma_flags_t f)
{
    vt_mode("%s, ends beside runs", vt_flags_text(f));
    context = vmma_create_context(NULL, 1 << 20, 0, BLOCK, f);
    client = vmma_create_client(context);
    beside(come_and_go, run_comes_and_goes, (int)vt_loops(400000, 3000));
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after clients ended beside runs");
    vmma_delete_context(context);
}

/* ---- a shared client is reset while it is used ---- */

static void *use(void *arg)
{
    vt_random r = {9};
    void *p[PIECES] = {0};
    (void)arg;
    while (goes_on()) {
        unsigned i = vt_below(&r, PIECES);
        size_t n = vt_log_size(&r, 1, 40000);
        if (vt_below(&r, 3) == 0)
            p[i] = vmma_realloc(client, p[i], n);
        else if (p[i])
            (void)vmma_free(client, p[i]), p[i] = NULL;
        else
            p[i] = vmma_alloc(client, n);
    }
    return NULL;
}

static void reset_once(int i)
{
    CHECK_ST(vmma_reset_client(client), VMMA_OK, "a shared client is reset while it is used");
    if (i % 16 == 0)
        CHECK_ST(vmma_check_client(client), VMMA_OK, "a client that is reset while it is used is sound");
}

static void reset_while_used(vmma_flags_t f)
{
    f |= VMMA_FLAG_SHARED_CLIENTS;
    vt_mode("%s, reset while used", vt_flags_text(f));
    context = vmma_create_context(NULL, 4 << 20, 0, BLOCK, f);
    client = vmma_create_client(context);
    vmma_client_t *honest = vmma_create_client(context);
    unsigned char *kept = (unsigned char *)vmma_alloc(honest, 50000);
    NEED(kept != NULL, "memory of an honest client");
    vt_fill(kept, 50000, 3);
    beside(use, reset_once, (int)vt_loops(20000, 200));
    CHECK(vt_filled(kept, 50000, 3), "the honest client's memory is as it was");
    CHECK_ST(vmma_free(honest, kept), VMMA_OK, "and it can be freed");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after resets");
    CHECK_ST(vmma_reset_client(client), VMMA_OK, "one more reset");
    CHECK_EQ(vt_client_stats(client).live_count, 0, "a reset frees all");
    vmma_delete_context(context);
}

/* ---- sizes are asked while the neighbours change ---- */

static unsigned char *mine[PIECES];
static size_t sizes[PIECES];

static void *change_neighbours(void *arg)
{
    vt_random r = {4711};
    void *p[PIECES] = {0};
    (void)arg;
    while (goes_on()) {
        unsigned i = vt_below(&r, PIECES);
        if (p[i]) {
            CHECK_ST(vmma_free(client, p[i]), VMMA_OK, "neighbours come and go");
            p[i] = NULL;
        } else {
            p[i] = vmma_alloc(client, 16 + vt_below(&r, vt_below(&r, 4) ? 200 : 3000));
        }
    }
    return NULL;
}

static void ask_all(int round)
{
    (void)round;
    for (int i = 0; i < PIECES; i++) {
        size_t size = 0;
        CHECK_EQ(vmma_get_size(client, mine[i]), sizes[i], "vmma_get_size while the neighbours change");
        CHECK_EQ(vmma_test_address(client, mine[i] + sizes[i] - 1), 1, "vmma_test_address while the neighbours change");
        CHECK_PTR(vmma_find_allocation(client, mine[i] + sizes[i] - 1, &size), mine[i], "vmma_find_allocation while the neighbours change");
        CHECK_EQ(size, sizes[i], "and its size");
    }
}

static void asked_meanwhile(vmma_flags_t f)
{
    f |= VMMA_FLAG_SHARED_CLIENTS;
    vt_mode("%s, asked meanwhile", vt_flags_text(f));
    context = vmma_create_context(NULL, 8 << 20, 0, 65536, f);
    client = vmma_create_client(context);
    void *gap[PIECES];
    for (int i = 0; i < PIECES; i++) {
        mine[i] = (unsigned char *)vmma_alloc(client, 16 + (size_t)(i * 37 % 300));
        gap[i] = vmma_alloc(client, 16 + (size_t)(i * 53 % 200));
        NEED(mine[i] && gap[i], "pieces");
        sizes[i] = vmma_get_size(client, mine[i]);
    }
    for (int i = 0; i < PIECES; i++)
        CHECK_ST(vmma_free(client, gap[i]), VMMA_OK, "gaps");
    CHECK_ST(vmma_trim_client(client), VMMA_OK, "that nothing keeps");
    beside(change_neighbours, ask_all, (int)vt_loops(5000, 100));
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after questions");
    vmma_delete_context(context);
}

/* ---- blocks that a guarantee has set aside are taken and given back ---- */

static size_t free_blocks;

static void *take_and_give(void *arg)
{
    (void)arg;
    while (goes_on())
        CHECK_ST(vmma_free(client, vmma_alloc(client, 20 * BLOCK)), VMMA_OK, "what was set aside is used");
    return NULL;
}

static void count_free(int i)
{
    (void)i;
    CHECK_EQ(vmma_get_free_blocks(context), free_blocks, "vmma_get_free_blocks does not change while a guarantee is used");
}

static void counted_meanwhile(void)
{
    vt_mode("THREADS, counted meanwhile");
    context = vmma_create_context(NULL, 2 << 20, 0, BLOCK, VMMA_FLAG_THREADS);
    client = vmma_create_client(context);
    CHECK_ST(vmma_set_guarantee(client, 30 * BLOCK), VMMA_OK, "a guarantee");
    free_blocks = vmma_get_free_blocks(context);
    beside(take_and_give, count_free, (int)vt_loops(100000, 1000));
    vmma_delete_context(context);
}

/* ---- a quarantine fills again while a request empties it ---- */

enum { UNIT = 1024, HALF = BLOCK / UNIT / 2 };

/* Takes and frees half of a block, unit by unit. */
static void take_half(int i)
{
    void *p[HALF];
    (void)i;
    for (int k = 0; k < HALF; k++)
        CHECK((p[k] = vmma_alloc(client, UNIT)) != NULL, "a request that fits is served, however much of the rest waits in quarantine");
    for (int k = 0; k < HALF; k++)
        CHECK_ST(vmma_free(client, p[k]), VMMA_OK, "and freed");
}

static void *take_half_too(void *arg)
{
    (void)arg;
    while (goes_on())
        take_half(0);
    return NULL;
}

static void quarantine_refills(void)
{
    vt_mode("SHARED_CLIENTS QUARANTINE, refills");
    context = vmma_create_context(NULL, 2 << 20, 0, BLOCK, VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_QUARANTINE);
    client = vmma_create_client(context);
    CHECK_ST(vmma_set_limit(client, BLOCK), VMMA_OK, "one block");
    beside(take_half_too, take_half, (int)vt_loops(40000, 1000));
    vmma_delete_context(context);
}

/* ---- clients are created beside calls on all of the context ---- */

static void *create_some(void *arg)
{
    vmma_client_t *k[8] = {0};
    (void)arg;
    for (unsigned i = 0; goes_on(); i++) {
        vmma_client_t **at = &k[i % 8];
        if (!*at && (*at = vmma_create_client(context)) != NULL)
            CHECK(vmma_alloc(*at, 100) != NULL, "a new client's memory");
    }
    return NULL;
}

static int count_client(vmma_client_t *k, void *user)
{
    (void)vmma_get_held_size(k);
    *(size_t *)user += 1;
    return 0;
}

static int write_away(const char *text, size_t n, void *user)
{
    (void)text;
    *(size_t *)user += n;
    return 0;
}

static void ask_context(int i)
{
    size_t count = 0;
    vmma_stats_t stats = {.struct_size = sizeof stats};
    CHECK_ST(vmma_populate_context_stats(context, &stats), VMMA_OK, "figures beside a client that is created");
    CHECK(stats.live_count <= 8, "of clients that there are");
    CHECK_ST(vmma_walk_clients(context, count_client, &count), VMMA_OK, "a walk beside a client that is created");
    CHECK(count <= 9, "over clients that there are");
    CHECK_ST(vmma_dump(context, i % 3, write_away, &count), VMMA_OK, "a dump beside a client that is created");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "a check beside a client that is created");
}

static void created_meanwhile(vmma_flags_t f)
{
    f |= VMMA_FLAG_SHARED_CLIENTS;
    vt_mode("%s, created meanwhile", vt_flags_text(f));
    for (long round = vt_loops(300, 10); round > 0; round--) {
        context = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
        client = vmma_create_client(context);
        beside(create_some, ask_context, 2);
        vmma_delete_context(context);
    }
}

/* ---- a realloc meets a reset: it fails, and keeps nothing ---- */

static void *grow_once(void *p) { return vmma_realloc(client, p, 200000); }

static void grown_while_reset(vmma_flags_t f)
{
    f |= VMMA_FLAG_SHARED_CLIENTS;
    vt_mode("%s, grown while reset", vt_flags_text(f));
    context = vmma_create_context(NULL, 8 << 20, 0, 0, f);
    client = vmma_create_client(context);
    for (long round = vt_loops(4000, 100); round > 0; round--) {
        void *p = vmma_alloc(client, 100), *q = NULL;
        pthread_t t;
        if (pthread_create(&t, NULL, grow_once, p))
            exit(2);
        for (volatile long wait = round * 37 % 30000; wait > 0; wait--) {
        }
        CHECK_ST(vmma_reset_client(client), VMMA_OK, "a reset beside a realloc");
        pthread_join(t, &q);
        CHECK_EQ(vt_client_stats(client).live_count, q && vmma_get_size(client, q) ? 1 : 0, "what nobody was given is not live");
        CHECK_ST(vmma_reset_client(client), VMMA_OK, "and again");
    }
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after reallocs and resets");
    vmma_delete_context(context);
}

int main(void)
{
    vt_begin("threads_races");
    ends_beside_runs(VMMA_FLAG_THREADS);
    if (vt_has(VMMA_FLAG_PACKED))
        ends_beside_runs(VMMA_FLAG_THREADS | VMMA_FLAG_PACKED);
    vt_each_mode(reset_while_used);
    vt_each_mode(asked_meanwhile);
    counted_meanwhile();
    quarantine_refills();
    vt_each_mode(created_meanwhile);
    vt_each_mode(grown_while_reset);
    vt_mode("-");
    return vt_end();
}
