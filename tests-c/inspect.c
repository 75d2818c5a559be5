/*
 * inspect.c: statistics, walks (order, completeness, early stop, nesting), checks, finding. Public API only.
 */
#include "vt_ctx.h"

enum { MANY = 500 };

typedef struct seen {
    void *p[MANY * 2];
    size_t size[MANY * 2];
    int n, stop_after, value;
    vmma_client_t *client;
} seen;

static int visit(vmma_client_t *k, void *p, size_t size, void *user)
{
    seen *s = (seen *)user;
    CHECK_PTR(k, s->client, "the visitor gets the client walked");
    if (s->n < MANY * 2) {
        s->p[s->n] = p;
        s->size[s->n] = size;
    }
    s->n++;
    return s->n == s->stop_after ? s->value : 0;
}

static int compare(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static void walks(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 4 << 20, 0, 8192, f);
    vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c), *idle = vmma_create_client(c);
    static uintptr_t live[MANY];
    static seen s;
    vt_random r = {f + 1};
    size_t n = 0, bytes = 0;
    for (int i = 0; i < MANY; i++) {
        size_t size = i % 25 ? vt_log_size(&r, 1, 3000) : 8192 * (1 + vt_below(&r, 4)) - vt_below(&r, 5000);
        live[i] = (uintptr_t)vmma_alloc(i % 3 ? k : o, size);
        NEED(live[i] != 0, "allocations to walk over");
    }
    for (int i = 0; i < MANY; i++)
        if (i % 3 == 0 || vt_below(&r, 3) == 0) {
            if (i % 3)
                vmma_free(k, (void *)live[i]);
        } else {
            bytes += vmma_get_size(k, (void *)live[i]);
            live[n++] = live[i];
        }
    qsort(live, n, sizeof live[0], compare);
    memset(&s, 0, sizeof s);
    s.client = k;
    uint64_t before = vt_fingerprint(c);
    CHECK_ST(vmma_walk_allocations(k, visit, &s), VMMA_OK, "vmma_walk_allocations: OK");
    CHECK_EQ(s.n, n, "the walk visits every live allocation once");
    int order = 1, same = 1, sizes = 1;
    for (size_t i = 0; i < n; i++) {
        order &= i == 0 || s.p[i - 1] < s.p[i];
        same &= (uintptr_t)s.p[i] == live[i];
        sizes &= s.size[i] == vmma_get_size(k, s.p[i]);
    }
    CHECK(order, "the walk goes in address order");
    CHECK(same, "the walk visits exactly the live allocations");
    CHECK(sizes, "the walk tells vmma_get_size");
    static const int values[] = {1, 2, 77, INT_MAX};
    for (unsigned v = 0; v < VT_COUNT(values); v++)
        for (size_t stop = 1; stop <= n; stop += n / 4) {
            s.n = 0;
            s.stop_after = (int)stop;
            s.value = values[v];
            CHECK_EQ(vmma_walk_allocations(k, visit, &s), values[v], "non-zero stops the walk and is returned");
            CHECK_EQ(s.n, stop, "the walk stops at once");
        }
    s.n = s.stop_after = 0;
    s.client = idle;
    CHECK_ST(vmma_walk_allocations(idle, visit, &s), VMMA_OK, "a walk of an idle client: OK");
    CHECK_EQ(s.n, 0, "a walk of an idle client visits nothing");
    CHECK(vt_fingerprint(c) == before, "walks change nothing");
    vmma_stats_t t = vt_client_stats(k);
    CHECK_EQ(t.live_count, n, "stats: live_count");
    CHECK_EQ(t.live_size, bytes, "stats: live_size is the sum of vmma_get_size");
    vmma_delete_context(c);
}

typedef struct nest {
    vmma_context_t *c;
    vmma_client_t *k[3];
    int clients, allocations, inner, stop;
} nest;

static int count_inner(vmma_client_t *k, void *p, size_t size, void *user)
{
    (void)k, (void)p, (void)size;
    ((nest *)user)->inner++;
    return 0;
}

static int count_outer(vmma_client_t *k, void *p, size_t size, void *user)
{
    nest *w = (nest *)user;
    w->allocations++;
    CHECK_PTR(vmma_find_client(w->c, p), k, "questions inside a walk are answered");
    CHECK_EQ(vmma_get_size(k, p), size, "sizes inside a walk are answered");
    CHECK_ST(vmma_walk_allocations(k, count_inner, w), VMMA_OK, "walks nest (the same client)");
    return 0;
}

static int count_clients(vmma_client_t *k, void *user)
{
    nest *w = (nest *)user;
    w->clients++;
    CHECK(k == w->k[0] || k == w->k[1] || k == w->k[2], "vmma_walk_clients visits clients of the context");
    CHECK_ST(vmma_walk_allocations(k, count_outer, w), VMMA_OK, "walks nest (allocations inside clients)");
    return w->clients == w->stop ? 42 : 0;
}

static int count_only(vmma_client_t *k, void *user)
{
    (void)k;
    ++*(int *)user;
    return 0;
}

static void clients(vmma_flags_t f)
{
    nest w;
    memset(&w, 0, sizeof w);
    w.c = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
    int n = 0;
    CHECK_ST(vmma_walk_clients(w.c, count_only, &n), VMMA_OK, "a walk over no clients: OK");
    CHECK_EQ(n, 0, "a walk over no clients visits none");
    for (int i = 0; i < 3; i++) {
        w.k[i] = vmma_create_client(w.c);
        for (int j = 0; j < 4; j++)
            CHECK(vmma_alloc(w.k[i], 100) != NULL, "something to walk over");
    }
    CHECK_ST(vmma_walk_clients(w.c, count_clients, &w), VMMA_OK, "vmma_walk_clients: OK");
    CHECK_EQ(w.clients, 3, "every client is visited once");
    CHECK_EQ(w.allocations, 12, "every allocation of every client is visited once");
    CHECK_EQ(w.inner, 48, "the nested walks see everything");
    w.clients = 0;
    w.stop = 2;
    CHECK_EQ(vmma_walk_clients(w.c, count_clients, &w), 42, "a client visitor's non-zero value stops and is returned");
    CHECK_EQ(w.clients, 2, "it stops at once");
    vmma_delete_client(w.k[1]);
    n = 0;
    CHECK_ST(vmma_walk_clients(w.c, count_only, &n), VMMA_OK, "a walk after a deletion");
    CHECK_EQ(n, 2, "a deleted client is not visited");
    vmma_delete_context(w.c);
}

static void stats(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 2 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c);
    vmma_stats_t s = vt_client_stats(k);
    CHECK_EQ(s.held_size + s.live_count + s.live_size + s.cached_size + s.cached_blocks + s.free_size + s.largest_free +
                 s.failed_count + s.largest_failed,
             0, "stats of a new client: nothing but overhead");
    vt_random r = {f};
    void *p[300] = {0};
    size_t live = 0, count = 0;
    for (int step = 0; step < 3000; step++) {
        int i = (int)vt_below(&r, 300);
        vmma_client_t *who = i % 2 ? k : o;
        if (p[i]) {
            if (who == k) {
                live -= vmma_get_size(k, p[i]);
                count--;
            }
            vmma_free(who, p[i]);
            p[i] = NULL;
        } else if ((p[i] = vmma_alloc(who, vt_log_size(&r, 1, 6000))) != NULL && who == k) {
            live += vmma_get_size(k, p[i]);
            count++;
        }
        if (step % 50)
            continue;
        s = vt_client_stats(k);
        vmma_stats_t t = vt_client_stats(o), both = vt_context_stats(c);
        CHECK_EQ(s.struct_size, sizeof s, "struct_size stays");
        CHECK_EQ(s.held_size, vmma_get_held_size(k), "stats: held_size equals vmma_get_held_size");
        CHECK_EQ(s.live_count, count, "stats: live_count");
        CHECK_EQ(s.live_size, live, "stats: live_size");
        CHECK(s.live_size + s.cached_size + s.free_size <= s.held_size, "stats: live + cached + free lie inside what is held");
        CHECK(s.cached_blocks * 4096 <= s.held_size, "stats: cached_blocks are held");
        CHECK(s.largest_free <= s.held_size - s.live_size, "stats: largest_free lies in what is held and not live");
        if ((f & VMMA_FLAG_NO_CACHE) && !(f & VMMA_FLAG_QUARANTINE))
            CHECK_EQ(s.cached_size + s.cached_blocks, 0, "stats: nothing is cached with NO_CACHE");
        CHECK_EQ(both.held_size, s.held_size + t.held_size, "context stats: held_size of all clients");
        CHECK_EQ(both.live_count, s.live_count + t.live_count, "context stats: live_count of all clients");
        CHECK_EQ(both.live_size, s.live_size + t.live_size, "context stats: live_size of all clients");
        CHECK_EQ(both.cached_size, s.cached_size + t.cached_size, "context stats: cached_size of all clients");
        CHECK_EQ(both.cached_blocks, s.cached_blocks + t.cached_blocks, "context stats: cached_blocks of all clients");
        CHECK_EQ(both.cached_blocks, vmma_populate_cached_blocks(c), "context stats: cached_blocks is vmma_populate_cached_blocks");
        CHECK_EQ(both.free_size, s.free_size + t.free_size, "context stats: free_size of all clients");
        /* largest_free: what the held blocks serve when no further block can be had */
        if (f == VMMA_FLAG_NO_CACHE) {
            size_t limit = s.held_size ? s.held_size : 1;
            vmma_set_limit(k, limit);
            if (s.held_size)
                CHECK_EQ(s.largest_free, vmma_get_max_alloc(k), "stats: largest_free is what the held blocks could serve");
            vmma_set_limit(k, 0);
        }
    }
    /* failures */
    s = vt_client_stats(k);
    CHECK_EQ(s.failed_count, 0, "stats: failed_count 0 while nothing failed");
    CHECK(vmma_alloc(k, 50 << 20) == NULL && vmma_alloc(k, 90 << 20) == NULL && vmma_alloc(k, 60 << 20) == NULL, "three failures");
    s = vt_client_stats(k);
    CHECK_EQ(s.failed_count, 3, "stats: failed_count counts allocations that failed");
    CHECK_EQ(s.largest_failed, 90 << 20, "stats: largest_failed is the biggest request among them");
    CHECK_EQ(vt_client_stats(o).failed_count, 0, "stats: failures are per client");
    CHECK_EQ(vt_context_stats(c).failed_count, 3, "context stats: failed_count of all clients");
    CHECK_EQ(vt_context_stats(c).largest_failed, 90 << 20, "context stats: largest_failed of all clients");
    vmma_set_limit(k, 4096);
    CHECK(vmma_alloc(k, 1 << 20) == NULL, "a failure by the limit");
    CHECK_EQ(vt_client_stats(k).failed_count, 4, "stats: a failure by the limit counts");
    vmma_set_limit(k, 0);
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client");
    s = vt_client_stats(k);
    CHECK_EQ(s.live_count + s.live_size + s.failed_count + s.largest_failed, 0, "a reset starts counts again");
    CHECK_EQ(vmma_get_peak_held_size(k), vmma_get_held_size(k), "a reset starts peaks again");
    vmma_trim_context(c);
    s = vt_context_stats(c);
    CHECK_EQ(s.cached_size + s.cached_blocks, 0, "trim empties the caches");
    vmma_delete_context(c);
}

/* a block's worth of each: numbers that can be told in advance */
static void numbers(void)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, VMMA_FLAG_NO_CACHE);
    vmma_client_t *k = vmma_create_client(c);
    void *p = vmma_alloc(k, 2048);
    vmma_stats_t s = vt_client_stats(k);
    CHECK_EQ(s.held_size, 4096, "half a block live: one block held");
    CHECK_EQ(s.live_size, 2048, "half a block live: 2048 bytes");
    CHECK_EQ(s.free_size, 2048, "half a block live: the other half is free");
    CHECK_EQ(s.largest_free, 2048, "half a block live: the other half can be had");
    void *q = vmma_alloc(k, 2048);
    s = vt_client_stats(k);
    CHECK_EQ(s.held_size, 4096, "two halves: one block");
    CHECK_EQ(s.free_size + s.largest_free, 0, "two halves: nothing is free");
    vmma_free(k, p);
    void *a = vmma_alloc(k, 1024);
    s = vt_client_stats(k);
    CHECK_EQ(s.free_size, 1024, "three quarters live: a quarter is free");
    CHECK_EQ(s.largest_free, 1024, "three quarters live: a quarter can be had");
    vmma_free(k, q);
    vmma_free(k, a);
    s = vt_client_stats(k);
    CHECK_EQ(s.held_size + s.free_size + s.largest_free + s.cached_size + s.cached_blocks, 0, "NO_CACHE: freed blocks go back at once");
    p = vmma_alloc(k, 3 * 4096);
    s = vt_client_stats(k);
    CHECK_EQ(s.held_size, 3 * 4096, "a run of three blocks: held");
    CHECK_EQ(s.live_size, 3 * 4096, "a run of three blocks: live");
    CHECK_EQ(s.free_size, 0, "a run of three blocks: nothing free");
    vmma_free(k, p);
    CHECK_EQ(vmma_get_held_size(k), 0, "a freed run goes back at once");
    vmma_delete_context(c);
}

int main(void)
{
    vt_begin("inspect");
    vt_each_mode(walks);
    vt_each_mode(clients);
    vt_each_mode(stats);
    if (vt_has(VMMA_FLAG_NO_CACHE))
        numbers();
    else
        vt_skip("numbers", "NO_CACHE is not in this build");
    return vt_end();
}
