/*
 * threads_shared.c: SHARED_CLIENTS: several threads on one client, walks and checks of the context meanwhile.
 * Public API only. (About ThreadSanitizer see threads.c.)
 */
#include "vt_ctx.h"
#include <pthread.h>

#define QUIET __attribute__((no_sanitize("thread"), noinline))

enum { THREADS = 4, LIVE = 100, RING = 256 };

QUIET static void fill(unsigned char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)p)[i] = vt_pattern(seed, i);
}

QUIET static int filled(const unsigned char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (((volatile const unsigned char *)p)[i] != vt_pattern(seed, i))
            return 0;
    return 1;
}

static vmma_context_t *context;
static vmma_client_t *client;
static int running;
static int may_fail;   /* a limit is in force: another thread may be inside the handler just now */

static void *work(void *arg)
{
    vt_random r = {(uint64_t)(intptr_t)arg + 1};
    unsigned char *p[LIVE] = {0};
    size_t size[LIVE] = {0};
    for (int step = 0; step < (int)vt_loops(6000, 500); step++) {
        size_t i = vt_below(&r, LIVE), n = vt_log_size(&r, 1, step % 40 ? 700 : 30000);
        if (!p[i]) {
            p[i] = (unsigned char *)vmma_alloc(client, n);
            CHECK(p[i] != NULL || may_fail, "SHARED_CLIENTS: threads allocate from one client at once");
            size[i] = n;
            if (p[i])
                fill(p[i], n, (uint32_t)(i + n));
        } else if (step % 4 == 0) {
            unsigned char *q = (unsigned char *)vmma_realloc(client, p[i], n);
            CHECK(q != NULL || may_fail, "SHARED_CLIENTS: threads reallocate at once");
            if (q) {
                CHECK(filled(q, n < size[i] ? n : size[i], (uint32_t)(i + size[i])), "SHARED_CLIENTS: realloc keeps contents");
                p[i] = q;
                size[i] = n;
                fill(q, n, (uint32_t)(i + n));
            }
        } else {
            CHECK(filled(p[i], size[i], (uint32_t)(i + size[i])), "SHARED_CLIENTS: contents stay");
            CHECK_ST(vmma_free(client, p[i]), VMMA_OK, "SHARED_CLIENTS: threads free at once");
            p[i] = NULL;
        }
        if (step % 500 == 0) {
            int local;
            CHECK_ST(vmma_free(client, &local), VMMA_E_NOT_OWNED, "SHARED_CLIENTS: misuse is refused");
            CHECK_ST(vmma_check_client(client), VMMA_OK, "SHARED_CLIENTS: vmma_check_client while others work");
            CHECK_ST(vmma_trim_client(client), VMMA_OK, "SHARED_CLIENTS: vmma_trim_client while others work");
        }
    }
    for (int i = 0; i < LIVE; i++)
        if (p[i])
            CHECK_ST(vmma_free(client, p[i]), VMMA_OK, "SHARED_CLIENTS: the rest is freed");
    return NULL;
}

static int count_visits(vmma_client_t *k, void *p, size_t n, void *user)
{
    (void)k, (void)p, (void)n;
    ++*(long *)user;
    return 0;
}

static int count_clients(vmma_client_t *k, void *user)
{
    (void)k;
    ++*(long *)user;
    return 0;
}

static int no_write(const char *t, size_t n, void *user)
{
    (void)t;
    *(long *)user += (long)n;
    return 0;
}

/* "with SHARED_CLIENTS the first five lock each client in turn": trim, check, dump, walk, populate on a context */
static void *observe(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        long n = 0;
        vmma_stats_t s;
        memset(&s, 0, sizeof s);
        s.struct_size = sizeof s;
        CHECK_ST(vmma_check_context(context), VMMA_OK, "SHARED_CLIENTS: vmma_check_context while threads work");
        CHECK_ST(vmma_populate_context_stats(context, &s), VMMA_OK, "SHARED_CLIENTS: context stats while threads work");
        (void)vmma_populate_cached_blocks(context);
        CHECK_ST(vmma_walk_clients(context, count_clients, &n), VMMA_OK, "SHARED_CLIENTS: vmma_walk_clients while threads work");
        CHECK_EQ(n, 1, "SHARED_CLIENTS: the walk sees the client");
        CHECK_ST(vmma_walk_allocations(client, count_visits, &n), VMMA_OK, "SHARED_CLIENTS: vmma_walk_allocations while threads work");
        CHECK_ST(vmma_dump(context, VMMA_DUMP_JSON, no_write, &n), VMMA_OK, "SHARED_CLIENTS: vmma_dump while threads work");
        CHECK_ST(vmma_trim_context(context), VMMA_OK, "SHARED_CLIENTS: vmma_trim_context while threads work");
    }
    return NULL;
}

/* allocate in one thread, free in another */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more, room;
    unsigned char *p[RING];
    size_t size[RING], head, tail;
    int producers;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .room = PTHREAD_COND_INITIALIZER};

static void *produce(void *arg)
{
    vt_random r = {(uint64_t)(intptr_t)arg + 50};
    for (int i = 0; i < (int)vt_loops(5000, 400); i++) {
        size_t n = vt_log_size(&r, 1, 2000);
        unsigned char *p = (unsigned char *)vmma_alloc(client, n);
        CHECK(p != NULL, "SHARED_CLIENTS: the producer allocates");
        if (!p)
            break;
        fill(p, n, (uint32_t)n);
        pthread_mutex_lock(&ring.lock);
        while (ring.head - ring.tail == RING)
            pthread_cond_wait(&ring.room, &ring.lock);
        ring.p[ring.head % RING] = p;
        ring.size[ring.head % RING] = n;
        ring.head++;
        pthread_cond_signal(&ring.more);
        pthread_mutex_unlock(&ring.lock);
    }
    pthread_mutex_lock(&ring.lock);
    ring.producers--;
    pthread_cond_broadcast(&ring.more);
    pthread_mutex_unlock(&ring.lock);
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&ring.lock);
        while (ring.head == ring.tail && ring.producers)
            pthread_cond_wait(&ring.more, &ring.lock);
        if (ring.head == ring.tail) {
            pthread_mutex_unlock(&ring.lock);
            return NULL;
        }
        unsigned char *p = ring.p[ring.tail % RING];
        size_t n = ring.size[ring.tail % RING];
        ring.tail++;
        pthread_cond_signal(&ring.room);
        pthread_mutex_unlock(&ring.lock);
        CHECK(filled(p, n, (uint32_t)n), "SHARED_CLIENTS: contents reach the other thread");
        CHECK_ST(vmma_free(client, p), VMMA_OK, "SHARED_CLIENTS: a free in another thread than the allocation");
    }
}

/* each address is freed by exactly one of the threads that try */
static unsigned char *contested[2000];
static long freed;

static void *contest(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < VT_COUNT(contested); i++) {
        int s = vmma_free(client, contested[i]);
        if (s == VMMA_OK)
            __atomic_fetch_add(&freed, 1, __ATOMIC_RELAXED);
        else
            CHECK(s == VMMA_E_DOUBLE_FREE || s == VMMA_E_NOT_OWNED, "SHARED_CLIENTS: the losers of a double free are told");
    }
    return NULL;
}

/* a handler of one thread runs while others use the client */
static int raise_limit(vmma_client_t *k, size_t n, int reason, void *user)
{
    (void)n;
    __atomic_fetch_add((long *)user, 1, __ATOMIC_RELAXED);
    CHECK_ST(reason, VMMA_E_LIMIT, "SHARED_CLIENTS: the handler's reason");
    return vmma_set_limit(k, vmma_get_limit(k) + (1 << 20)) == VMMA_OK;
}

static void run(void *(*body)(void *), int n, void *(*extra)(void *))
{
    pthread_t t[THREADS + 1];
    for (int i = 0; i < n; i++)
        if (pthread_create(&t[i], NULL, body, (void *)(intptr_t)i) != 0)
            exit(2);
    if (extra && pthread_create(&t[THREADS], NULL, extra, NULL) != 0)
        exit(2);
    for (int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    if (extra)
        pthread_join(t[THREADS], NULL);
}

static void all(vmma_flags_t f)
{
    long handler_calls = 0;
    f |= VMMA_FLAG_SHARED_CLIENTS;
    vt_mode("%s", vt_flags_text(f));
    context = vmma_create_context(NULL, 16 << 20, 0, 16384, f);
    CHECK(context && (vmma_get_accepted_flags(context) & VMMA_FLAG_THREADS), "SHARED_CLIENTS brings THREADS with it");
    client = vmma_create_client(context);
    size_t fresh = vmma_get_free_blocks(context);
    run(work, THREADS, NULL);
    CHECK_EQ(vt_client_stats(client).live_count, 0, "SHARED_CLIENTS: nothing is live at the end");
    running = 1;
    run(work, 2, observe);
    vmma_set_limit(client, 1 << 20);
    vmma_set_oom_handler(client, raise_limit, &handler_calls);
    may_fail = 1;
    run(work, THREADS, NULL);
    may_fail = 0;
    vmma_set_oom_handler(client, NULL, NULL);
    vmma_set_limit(client, 0);
    ring.producers = 1;
    ring.head = ring.tail = 0;
    pthread_t t[2];
    if (pthread_create(&t[0], NULL, produce, NULL) || pthread_create(&t[1], NULL, consume, NULL))
        exit(2);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    for (unsigned i = 0; i < VT_COUNT(contested); i++)
        contested[i] = (unsigned char *)vmma_alloc(client, 1 + i % 900);
    freed = 0;
    run(contest, THREADS, NULL);
    CHECK_EQ(freed, VT_COUNT(contested), "SHARED_CLIENTS: an allocation is freed exactly once, whoever tries");
    CHECK_EQ(vt_client_stats(client).live_count, 0, "SHARED_CLIENTS: nothing is live at last");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "SHARED_CLIENTS: vmma_check_context at the end");
    vmma_trim_context(context);
    CHECK_EQ(vmma_get_free_blocks(context), fresh, "SHARED_CLIENTS: all blocks are free again");
    CHECK_EQ(vmma_get_max_alloc(client) >= (fresh - 1) * 16384, 1, "SHARED_CLIENTS: one largest block again");
    vmma_delete_context(context);
}

/* While a realloc has no lock, for it tells of a red zone, another thread frees the piece and gives its place to another client. */
static unsigned char *wanted, *taken;
static vmma_client_t *neighbour;

static void *take_away(void *arg)
{
    (void)arg;
    (void)vmma_free(client, wanted);
    CHECK_ST(vmma_trim_client(client), VMMA_OK, "another thread trims meanwhile");
    taken = (unsigned char *)vmma_alloc(neighbour, 8000);
    return NULL;
}

static void while_told(vmma_context_t *c, const vmma_error_t *error, void *user)
{
    (void)c, (void)user;
    pthread_t t;
    if (error->status == VMMA_E_OVERRUN && wanted && !taken) {
        if (pthread_create(&t, NULL, take_away, NULL))
            exit(2);
        pthread_join(t, NULL);
        if (taken)
            fill(taken, 8000, 7);
    }
}

static void taken_away(vmma_flags_t f)
{
    if ((f & VMMA_FLAG_QUARANTINE) || !vt_has(VMMA_FLAG_GUARD))
        return;
    f |= VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_GUARD;
    static const size_t from[] = {100, 3000, 8000, 40000}, to[] = {20, 90, 2500, 3500, 7000, 8100, 39000, 41000, 90000};
    for (unsigned i = 0; i < VT_COUNT(from) * VT_COUNT(to); i++) {
        size_t old = from[i / VT_COUNT(to)], new = to[i % VT_COUNT(to)];
        vt_mode("%s, %zu to %zu bytes", vt_flags_text(f), old, new);
        context = vmma_create_context(NULL, 1 << 20, 0, 16384, f);
        client = vmma_create_client(context);
        neighbour = vmma_create_client(context);
        taken = NULL;
        wanted = (unsigned char *)vmma_alloc(client, old);
        NEED(wanted != NULL, "a piece");
        vmma_set_error_handler(context, while_told, NULL);
        vt_flip_byte(wanted + old);
        void *moved = vmma_realloc(client, wanted, new);
        CHECK(moved == NULL && taken != NULL, "what another thread frees meanwhile is not moved, nor changed in place");
        CHECK_EQ(vmma_get_last_status(client) == VMMA_E_DOUBLE_FREE || vmma_get_last_status(client) == VMMA_E_NOT_OWNED, 1,
                 "it is a free too many");
        CHECK(taken && filled(taken, 8000, 7), "the memory of the client that has the place now is as it was");
        CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after it");
        CHECK_ST(vmma_free(neighbour, taken), VMMA_OK, "and it can be freed");
        wanted = NULL;
        vmma_delete_context(context);
    }
    vt_mode("-");
}

/* A large piece shrinks and grows again and again, while another thread checks its red zone. */
static void *shrink_and_grow(void *arg)
{
    (void)arg;
    void *p = vmma_alloc(client, 70000);
    for (int i = 0; i < (int)vt_loops(4000, 200); i++)
        CHECK((p = vmma_realloc(client, p, i % 2 ? 70000 : 3000)) != NULL, "a large piece shrinks and grows");
    return NULL;
}

static void *check_meanwhile(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        CHECK_ST(vmma_check_client(client), VMMA_OK, "a red zone that nobody wrote is sound at all times");
    return NULL;
}

static void checked_meanwhile(void)
{
    vmma_flags_t f = VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_GUARD | VMMA_FLAG_WIPE;
    if (!vt_has(f))
        return;
    vt_mode("%s, checked meanwhile", vt_flags_text(f));
    context = vmma_create_context(NULL, 4 << 20, 0, 16384, f);
    client = vmma_create_client(context);
    running = 1;
    run(shrink_and_grow, 1, check_meanwhile);
    vmma_delete_context(context);
    vt_mode("-");
}

int main(void)
{
    vt_begin("threads_shared");
    vt_each_mode(all);
    vt_each_mode(taken_away);
    checked_meanwhile();
    return vt_end();
}
