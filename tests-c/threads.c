/*
 * threads.c: THREADS: a client per thread, foreign frees refused while others work, clients handed from thread
 * to thread, clients created and deleted all the while, at-once getters from any thread, fork. Public API only.
 *
 * Under ThreadSanitizer the library itself is not instrumented, so memory that passes from one client to another
 * through the library looks like a race; contents of such memory are written by functions that it leaves out.
 */
#include "vt_ctx.h"
#include <pthread.h>

#if defined(__clang__) || defined(__GNUC__)
#define QUIET __attribute__((no_sanitize("thread"), noinline))
#else
#define QUIET
#endif

enum { THREADS = 4, LIVE = 200 };

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
static pthread_barrier_t barrier;
static struct {
    vmma_client_t *client;
    unsigned char *pin;   /* live as long as all the threads run: others try to free it */
} shared[THREADS];

static void work(vmma_client_t *k, vt_random *r, long steps)
{
    unsigned char *p[LIVE] = {0};
    size_t size[LIVE] = {0};
    for (long step = 0; step < steps; step++) {
        size_t i = vt_below(r, LIVE);
        if (p[i]) {
            CHECK(filled(p[i], size[i], (uint32_t)i + 1), "contents stay while other threads work");
            if (step % 3 == 0) {
                size_t n = vt_log_size(r, 1, 5000);
                unsigned char *q = (unsigned char *)vmma_realloc(k, p[i], n);
                if (q) {
                    CHECK(filled(q, n < size[i] ? n : size[i], (uint32_t)i + 1), "vmma_realloc keeps contents while other threads work");
                    p[i] = q;
                    size[i] = n;
                    fill(q, n, (uint32_t)i + 1);
                }
            } else {
                CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "a client's own free, from its thread");
                p[i] = NULL;
            }
        } else {
            size[i] = vt_log_size(r, 1, step % 50 ? 600 : 40000);
            p[i] = (unsigned char *)vmma_alloc(k, size[i]);
            if (p[i]) {
                CHECK_PTR(vmma_find_client(context, p[i]), k, "vmma_find_client from any thread");
                fill(p[i], size[i], (uint32_t)i + 1);
            }
        }
    }
    for (int i = 0; i < LIVE; i++)
        if (p[i])
            CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "a client's own free at the end");
}

static void *own_client(void *arg)
{
    int me = (int)(intptr_t)arg;
    vt_random r = {(uint64_t)me + 1};
    vmma_client_t *k = vmma_create_client(context);
    CHECK(k != NULL, "vmma_create_client from any thread");
    shared[me].client = k;
    shared[me].pin = (unsigned char *)vmma_alloc(k, 333);
    fill(shared[me].pin, 333, 99);
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < (int)vt_loops(60, 6); round++) {
        work(k, &r, 150);
        for (int o = 0; o < THREADS; o++) {
            if (o == me)
                continue;
            CHECK_ST(vmma_free(k, shared[o].pin), VMMA_E_NOT_OWNED, "a free of another client's memory is refused while its thread works");
            CHECK_ST(vmma_free(k, shared[o].pin + 16), VMMA_E_NOT_OWNED, "the same in the middle of it");
            CHECK_EQ(vmma_test_address(k, shared[o].pin), 0, "vmma_test_address of another client's memory");
            CHECK_PTR(vmma_find_client(context, shared[o].pin + 5), shared[o].client, "vmma_find_client of another client's live memory");
            errno = 0;
            CHECK(vmma_realloc(k, shared[o].pin, 5) == NULL && errno == EINVAL, "errno is the thread's own");
        }
        CHECK_EQ(vmma_get_total_blocks(context) >= vmma_get_free_blocks(context), 1, "at-once getters from any thread");
        CHECK(vmma_get_client_count(context) >= THREADS, "client count from any thread");
        CHECK(vmma_get_peak_blocks(context) * vmma_get_block_size(context) >= vmma_get_held_size(k), "peak blocks from any thread");
        CHECK_ST(vmma_check_client(k), VMMA_OK, "vmma_check_client of its own client while other threads work");
        CHECK_ST(vmma_trim_client(k), VMMA_OK, "vmma_trim_client of its own client while other threads work");
        CHECK(vmma_get_max_alloc(k) > 0, "vmma_get_max_alloc while other threads work");
        CHECK_EQ(vt_client_stats(k).live_count, 1, "stats of its own client while other threads work");
    }
    pthread_barrier_wait(&barrier);
    CHECK(filled(shared[me].pin, 333, 99), "nobody touched what others tried to free");
    return NULL;
}

/* clients come and go in every thread */
static void *churn(void *arg)
{
    vt_random r = {(uint64_t)(intptr_t)arg + 100};
    vmma_client_t *dead = NULL;
    for (int i = 0; i < (int)vt_loops(600, 60); i++) {
        vmma_client_t *k = vmma_create_client(context);
        CHECK(k != NULL, "clients are created in several threads at once");
        if (!k)
            break;
        CHECK_EQ(vmma_get_held_size(k), 0, "a new client holds nothing");
        unsigned char *p = NULL;
        for (int j = 0; j < 30; j++) {
            p = (unsigned char *)vmma_alloc(k, vt_log_size(&r, 1, 9000));
            if (p)
                fill(p, 1, 5);
        }
        if (i % 3 == 0)
            work(k, &r, 100);
        if (i % 4 == 0)
            CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client while other threads work");
        else
            CHECK_EQ(vmma_test_address(k, p), p != NULL, "its allocation is live");
        CHECK_ST(vmma_delete_client(k), VMMA_OK, "clients are deleted in several threads at once");
        dead = k;
    }
    (void)dead;
    return NULL;
}

static void run(void *(*body)(void *), int n)
{
    pthread_t t[THREADS];
    for (int i = 0; i < n; i++)
        if (pthread_create(&t[i], NULL, body, (void *)(intptr_t)i) != 0)
            exit(2);
    for (int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
}

/* one client, several threads in turn: the caller orders the hand-over */
static struct {
    pthread_mutex_t lock;
    vmma_client_t *client;
    unsigned char *p[64];
    size_t size[64];
    long turns;
} baton = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *hand_over(void *arg)
{
    vt_random r = {(uint64_t)(intptr_t)arg + 1000};
    for (int i = 0; i < (int)vt_loops(4000, 400); i++) {
        pthread_mutex_lock(&baton.lock);
        size_t j = vt_below(&r, 64);
        if (baton.p[j]) {
            CHECK(filled(baton.p[j], baton.size[j], (uint32_t)j), "contents survive the hand-over to another thread");
            CHECK_ST(vmma_free(baton.client, baton.p[j]), VMMA_OK, "what one thread allocated another may free, one at a time");
            baton.p[j] = NULL;
        } else {
            baton.size[j] = vt_log_size(&r, 1, 3000);
            baton.p[j] = (unsigned char *)vmma_alloc(baton.client, baton.size[j]);
            CHECK(baton.p[j] != NULL, "a client works in any thread, one at a time");
            if (baton.p[j])
                fill(baton.p[j], baton.size[j], (uint32_t)j);
        }
        baton.turns++;
        pthread_mutex_unlock(&baton.lock);
    }
    return NULL;
}

static void fork_child(void *arg)
{
    vmma_client_t *k = (vmma_client_t *)arg;
    void *p = vmma_alloc(k, 5000);
    CHECK(p != NULL, "after fork the child may use the context");
    CHECK_ST(vmma_free(k, p), VMMA_OK, "after fork the child may free");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "after fork the child's context is sound");
    CHECK_ST(vmma_delete_context(context), VMMA_OK, "after fork the child may delete the context");
}

static void all(vmma_flags_t f)
{
    f |= VMMA_FLAG_THREADS;
    vt_mode("%s", vt_flags_text(f));
    context = vmma_create_context(NULL, 16 << 20, 0, 16384, f);
    CHECK(context != NULL, "a context with THREADS");
    size_t fresh = vmma_get_free_blocks(context);
    pthread_barrier_init(&barrier, NULL, THREADS);
    run(own_client, THREADS);
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after the threads");
    /* what the threads left is used from here: not necessarily the creator */
    for (int i = 0; i < THREADS; i++) {
        CHECK_ST(vmma_free(shared[i].client, shared[i].pin), VMMA_OK, "the main thread frees what a thread allocated");
        CHECK_ST(vmma_delete_client(shared[i].client), VMMA_OK, "the main thread deletes a thread's client");
    }
    CHECK_EQ(vmma_get_free_blocks(context), fresh, "all blocks are free again");
    run(churn, THREADS);
    CHECK_EQ(vmma_get_client_count(context), 0, "all clients are gone");
    CHECK_EQ(vmma_get_free_blocks(context), fresh, "after churn all blocks are free again");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "vmma_check_context after churn");
    baton.client = vmma_create_client(context);
    run(hand_over, 3);
    for (int j = 0; j < 64; j++)
        if (baton.p[j]) {
            CHECK_ST(vmma_free(baton.client, baton.p[j]), VMMA_OK, "the rest is freed by the main thread");
            baton.p[j] = NULL;
        }
    vmma_trim_client(baton.client);
    CHECK_EQ(vmma_get_free_blocks(context), fresh, "after hand-overs all blocks are free again");
    vt_outcome out = vt_fork(fork_child, baton.client);
    CHECK(out.exited && out.code == 0, "the forked child ends well");
    CHECK_ST(vmma_check_context(context), VMMA_OK, "the parent's context is its own");
    CHECK_ST(vmma_delete_context(context), VMMA_OK, "vmma_delete_context");
    pthread_barrier_destroy(&barrier);
}

int main(void)
{
    vt_begin("threads");
    vt_each_mode(all);
    return vt_end();
}
