/* vmma_only.h - synthetic lines that only libvmma has: shared and threaded contexts, questions about addresses.
 * Each makes a context of its own with the flags in question. Knows libvmma.h, common.h and the churn of micro.h. */
#ifndef VMMA_ONLY_H
#define VMMA_ONLY_H
#include <pthread.h>

static double pairs_with(vmma_flags_t flags)
{
    vmma_context_t *c = need(vmma_create_context(NULL, 64u << 20, 0, 0, va_flags | flags));
    vmma_client_t *h = need(vmma_create_client(c));
    int count = 200000;
    double t = 0;
    for (int i = -2000; i < count; i++) {
        if (!i)
            t = cpu_now();
        void *p = vmma_alloc(h, 64);
        *(volatile char *)p = 1;
        vmma_free(h, p);
    }
    t = cpu_now() - t;
    vmma_delete_context(c);
    return t / count;
}
static double m_pair_plain(void) { return pairs_with(0); }
static double m_pair_threads(void) { return pairs_with(VMMA_FLAG_THREADS); }
static double m_pair_shared(void) { return pairs_with(VMMA_FLAG_SHARED_CLIENTS); }

/* two threads churn at the same time, each in a client of its own; the wall clock of the slower one */
struct worker { vmma_client_t *client; struct live v[CHURN_LIVE]; double ns; };
static pthread_barrier_t gate;
static void *work(void *arg)
{
    struct worker *w = arg;
    churn_fill(w->client, w->v, churn_log);
    churn_run(w->client, w->v, churn_log, CHURN_STEPS);
    pthread_barrier_wait(&gate);
    double t = wall_now();
    churn_run(w->client, w->v, churn_log, CHURN_STEPS);
    w->ns = (wall_now() - t) / (2.0 * CHURN_STEPS);
    return NULL;
}
static double two_threads(int contexts, vmma_flags_t flags)
{
    static struct worker w[2];
    vmma_context_t *c[2];
    pthread_t id;
    churn_prepare();
    for (int i = 0; i < 2; i++) {
        c[i] = i < contexts ? need(vmma_create_context(NULL, 128u << 20, 0, 0, va_flags | flags)) : c[0];
        w[i].client = need(vmma_create_client(c[i]));
    }
    pthread_barrier_init(&gate, NULL, 2);
    if (pthread_create(&id, NULL, work, &w[1]))
        stop("no thread");
    work(&w[0]);
    pthread_join(id, NULL);
    pthread_barrier_destroy(&gate);
    for (int i = 0; i < contexts; i++)
        vmma_delete_context(c[i]);
    return w[0].ns > w[1].ns ? w[0].ns : w[1].ns;
}
static double m_threads_one(void) { return two_threads(1, VMMA_FLAG_THREADS); }
static double m_threads_two(void) { return two_threads(2, VMMA_FLAG_THREADS); }
static double m_threads_plain(void) { return two_threads(2, 0); }

static double ask(int question)
{
    static struct live v[CHURN_LIVE];
    uint64_t sum = 0;
    churn_prepare();
    vmma_client_t *h = need(vmma_create_client(va_context));
    churn_fill(h, v, churn_vm);
    double t = 0;
    for (int i = -CHURN_STEPS; i < CHURN_STEPS; i++) {
        if (!i)
            t = cpu_now();
        struct live *l = &v[churn_vm[i < 0 ? i + CHURN_STEPS : i].slot];
        const char *inside = (const char *)l->p + l->n / 2;
        switch (question) {
        case 0: sum += (uint64_t)vmma_test_address(h, inside); break;
        case 1: sum += vmma_get_size(h, l->p) != 0; break;
        case 2: sum += vmma_find_client(va_context, inside) == h; break;
        default: sum += vmma_find_allocation(h, inside, NULL) == l->p;
        }
    }
    t = cpu_now() - t;
    if (sum != 2 * (uint64_t)CHURN_STEPS)
        stop("an address question was answered wrongly");
    vmma_delete_client(h);
    return t / CHURN_STEPS;
}
static double m_test_address(void) { return ask(0); }
static double m_get_size(void) { return ask(1); }
static double m_find_client(void) { return ask(2); }
static double m_find_allocation(void) { return ask(3); }

#define VMMA_MICROS \
    { "pair-64-plain", m_pair_plain }, { "pair-64-threads", m_pair_threads }, { "pair-64-shared", m_pair_shared }, \
    { "threads-one-context", m_threads_one }, { "threads-two-contexts", m_threads_two }, \
    { "threads-two-plain", m_threads_plain }, { "test-address", m_test_address }, { "get-size", m_get_size }, \
    { "find-client", m_find_client }, { "find-allocation", m_find_allocation },
#endif
