/*
 * busy.c: what callbacks of walks, dump and the error handler may and may not do. Public API only.
 */
#include "vt_ctx.h"

typedef struct scene {
    vmma_context_t *c;
    vmma_client_t *k, *o;      /* k is walked or misused */
    void *p, *q;               /* allocations of k and of o */
    int calls, wide, told;
    int status;                /* what the error handler is to be told of */
    uint64_t before;
} scene;

static int never(vmma_client_t *k, size_t n, int reason, void *user)
{
    (void)k, (void)n, (void)reason, (void)user;
    return 0;
}

static int visit_nothing(vmma_client_t *k, void *p, size_t n, void *user)
{
    (void)k, (void)p, (void)n, (void)user;
    return 0;
}

static int visit_no_client(vmma_client_t *k, void *user)
{
    (void)k, (void)user;
    return 0;
}

static int write_nothing(const char *t, size_t n, void *user)
{
    (void)t, (void)n, (void)user;
    return 0;
}

#define BUSY(call) CHECK_ST((call), VMMA_E_BUSY, "BUSY in a callback: " #call)
#define BUSY_NULL(call)                                                                 \
    do {                                                                                \
        errno = 0;                                                                      \
        void *busy_result = (void *)(call);                                             \
        int busy_errno = errno;                                                         \
        CHECK_PTR(busy_result, NULL, "NULL in a callback: " #call);                     \
        CHECK_EQ(busy_errno, EBUSY, "EBUSY in a callback: " #call);                     \
    } while (0)

/* every changing call on a client that is walked, or whose misuse is reported */
static void forbidden(scene *s, vmma_client_t *k, void *p)
{
    int local;
    BUSY(vmma_free(k, p));
    BUSY(vmma_free(k, NULL));          /* BUSY comes before every other check but the handle's */
    BUSY(vmma_free(k, &local));
    BUSY_NULL(vmma_alloc(k, 10));
    CHECK_ST(vmma_get_last_status(k), VMMA_E_BUSY, "BUSY is kept as the last status");
    BUSY_NULL(vmma_alloc(k, SIZE_MAX));
    BUSY_NULL(vmma_calloc(k, 1, 10));
    BUSY_NULL(vmma_calloc(k, SIZE_MAX, 10));
    BUSY_NULL(vmma_realloc(k, p, 50));
    BUSY_NULL(vmma_realloc(k, NULL, 50));
    BUSY_NULL(vmma_realloc(k, &local, 50));
    BUSY_NULL(vmma_aligned_alloc(k, 64, 50));
    BUSY_NULL(vmma_aligned_alloc(k, 3, 50));
    BUSY_NULL(vmma_lua_alloc(k, NULL, 0, 50));
    CHECK_PTR(vmma_lua_alloc(k, p, 10, 0), NULL, "NULL in a callback: vmma_lua_alloc that frees");
    BUSY(vmma_delete_client(k));
    BUSY(vmma_reset_client(k));
    BUSY(vmma_trim_client(k));
    BUSY(vmma_set_limit(k, 1 << 20));
    BUSY(vmma_set_guarantee(k, 1));
    BUSY(vmma_set_oom_handler(k, never, NULL));
    BUSY(vmma_set_name(k, "x"));
    void *data = vmma_get_user_data(k);
    vmma_set_user_data(k, &local);
    CHECK_PTR(vmma_get_user_data(k), data, "in a callback vmma_set_user_data does nothing");
    BUSY(vmma_delete_context(s->c));
    BUSY(vmma_trim_context(s->c));
    BUSY(vmma_set_error_handler(s->c, NULL, NULL));
    CHECK_EQ(vmma_test_address(k, p), 1, "what was BUSY did nothing");
    CHECK_ST(vmma_free(NULL, p), VMMA_E_INVALID, "the handle is checked before BUSY");
}

static void allowed(scene *s, vmma_client_t *k, void *p)
{
    size_t size = 0;
    vmma_stats_t t;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t;
    CHECK_EQ(vmma_test_address(k, p), 1, "callbacks may ask: vmma_test_address");
    CHECK(vmma_get_size(k, p) > 0, "callbacks may ask: vmma_get_size");
    CHECK_PTR(vmma_find_client(s->c, p), k, "callbacks may ask: vmma_find_client");
    CHECK_PTR(vmma_find_allocation(k, p, &size), p, "callbacks may ask: vmma_find_allocation");
    CHECK(vmma_get_max_alloc(k) > 0, "vmma_get_max_alloc counts as asking");
    CHECK_ST(vmma_populate_client_stats(k, &t), VMMA_OK, "callbacks may ask: client stats");
    CHECK_ST(vmma_populate_context_stats(s->c, &t), VMMA_OK, "callbacks may ask: context stats");
    CHECK_ST(vmma_walk_allocations(k, visit_nothing, NULL), VMMA_OK, "callbacks may ask: walks nest");
    CHECK_ST(vmma_walk_clients(s->c, visit_no_client, NULL), VMMA_OK, "callbacks may ask: client walks nest");
    CHECK_ST(vmma_dump(s->c, VMMA_DUMP_TEXT, write_nothing, NULL), VMMA_OK, "callbacks may ask: dump");
    CHECK_EQ(vmma_get_client_count(s->c), 2, "callbacks may ask: getters");
    CHECK(vmma_get_good_size(s->c, 10) >= 10 && vmma_get_name(k) && vmma_get_limit(k) == 0 && vmma_get_context(k) == s->c,
          "callbacks may ask: more getters");
    (void)vmma_populate_cached_blocks(s->c);
}

static void other_client(scene *s)
{
    if (s->wide) {
        forbidden(s, s->o, s->q);
        BUSY_NULL(vmma_create_client(s->c));
        return;
    }
    void *p = vmma_alloc(s->o, 100);
    CHECK(p != NULL, "another client than the one walked may be changed");
    CHECK_ST(vmma_free(s->o, p), VMMA_OK, "another client than the one walked may free");
}

static int in_walk(vmma_client_t *k, void *p, size_t n, void *user)
{
    scene *s = (scene *)user;
    (void)n;
    s->calls++;
    forbidden(s, k, p);
    allowed(s, k, p);
    other_client(s);
    return 0;
}

static int in_client_walk(vmma_client_t *k, void *user)
{
    scene *s = (scene *)user;
    s->calls++;
    forbidden(s, s->k, s->p);
    allowed(s, k, k == s->k ? s->p : s->q);
    other_client(s);
    return 0;
}

static int in_dump(const char *t, size_t n, void *user)
{
    scene *s = (scene *)user;
    (void)t, (void)n;
    if (s->calls++ > 2)
        return 0;
    forbidden(s, s->k, s->p);
    allowed(s, s->k, s->p);
    other_client(s);
    return 0;
}

static void on_error(vmma_context_t *c, const vmma_error_t *e, void *user)
{
    scene *s = (scene *)user;
    int local;
    s->told++;
    if (s->calls)          /* told from inside itself: counted, reported by the caller */
        return;
    s->calls++;
    CHECK_PTR(c, s->c, "the error handler gets the context");
    CHECK_ST(e->status, s->status, "the error handler gets the status");
    CHECK_PTR(e->client, e->status == VMMA_E_INVALID ? NULL : s->k, "the error handler gets the client, if there is one");
    forbidden(s, s->k, s->p);
    allowed(s, s->k, s->p);
    other_client(s);
    if (!s->wide)
        CHECK_ST(vmma_free(s->o, &local), VMMA_E_NOT_OWNED, "misuse of another client inside the error handler is refused");
    CHECK_EQ(s->told, 1, "the error handler is never told from inside itself");
}

static void open_scene(scene *s, vmma_flags_t f)
{
    memset(s, 0, sizeof *s);
    s->c = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
    s->k = vmma_create_client(s->c);
    s->o = vmma_create_client(s->c);
    s->p = vmma_alloc(s->k, 100);
    s->q = vmma_alloc(s->o, 100);
    CHECK(s->p && s->q, "two allocations");
}

static void close_scene(scene *s)
{
    CHECK_ST(vmma_check_context(s->c), VMMA_OK, "vmma_check_context after the callbacks");
    CHECK(vmma_alloc(s->k, 10) != NULL, "after the callback the client works");
    CHECK_ST(vmma_free(s->k, s->p), VMMA_OK, "after the callback it frees");
    CHECK_ST(vmma_trim_context(s->c), VMMA_OK, "after the callback the context can be trimmed");
    CHECK(vmma_create_client(s->c) != NULL, "after the callback clients can be created");
    CHECK_ST(vmma_delete_client(s->o), VMMA_OK, "after the callback clients can be deleted");
    CHECK_ST(vmma_delete_context(s->c), VMMA_OK, "after the callback the context can be deleted");
}

/* Misuses that the error handler is told of; all but the first by a call on the whole context, so that there it may change
 * no client at all. */
enum misuse { FREE_WRONG, DUMP_UNKNOWN, CHECK_OVERRUN, TRIM_WRITTEN };

static void misuse(scene *s, enum misuse m)
{
    unsigned char *written;
    s->wide = m != FREE_WRONG;
    switch (m) {
    case FREE_WRONG:
        s->status = VMMA_E_NOT_OWNED;
        CHECK_ST(vmma_free(s->k, s), VMMA_E_NOT_OWNED, "misuse keeps its result though the handler tried everything");
        break;
    case DUMP_UNKNOWN:
        s->status = VMMA_E_INVALID;
        CHECK_ST(vmma_dump(s->c, 77, write_nothing, NULL), VMMA_E_INVALID, "an unknown format, though the handler tried everything");
        break;
    case CHECK_OVERRUN:
        s->status = VMMA_E_OVERRUN;
        written = (unsigned char *)s->p + vmma_get_size(s->k, s->p);
        vt_flip_byte(written);
        CHECK_ST(vmma_check_context(s->c), VMMA_E_OVERRUN, "a check keeps its result though the handler tried everything");
        vt_flip_byte(written);
        break;
    case TRIM_WRITTEN:
        s->status = VMMA_E_USE_AFTER_FREE;
        written = (unsigned char *)vmma_alloc(s->k, 100);
        CHECK_ST(vmma_free(s->k, written), VMMA_OK, "into quarantine");
        vt_flip_byte(written);
        CHECK_ST(vmma_trim_context(s->c), VMMA_OK, "a trim keeps its result though the handler tried everything");
        break;
    }
}

static void all(vmma_flags_t f)
{
    scene s;
    open_scene(&s, f);
    vt_mode("%s walk", vt_flags_text(f));
    CHECK_ST(vmma_walk_allocations(s.k, in_walk, &s), VMMA_OK, "a walk whose callback tried everything: OK");
    CHECK_EQ(s.calls, 1, "the walk's callback ran");
    close_scene(&s);
    open_scene(&s, f);
    s.wide = 1;
    vt_mode("%s client walk", vt_flags_text(f));
    CHECK_ST(vmma_walk_clients(s.c, in_client_walk, &s), VMMA_OK, "a client walk whose callback tried everything: OK");
    CHECK_EQ(s.calls, 2, "the client walk's callback ran");
    close_scene(&s);
    for (int format = VMMA_DUMP_TEXT; format <= VMMA_DUMP_SVG; format++) {
        open_scene(&s, f);
        s.wide = 1;
        vt_mode("%s dump %d", vt_flags_text(f), format);
        CHECK_ST(vmma_dump(s.c, format, in_dump, &s), VMMA_OK, "a dump whose callback tried everything: OK");
        CHECK(s.calls > 0, "the dump's callback ran");
        close_scene(&s);
    }
    for (enum misuse m = FREE_WRONG; m <= TRIM_WRITTEN; m++) {
        if ((m == CHECK_OVERRUN && !(f & VMMA_FLAG_GUARD)) || (m == TRIM_WRITTEN && !(f & VMMA_FLAG_QUARANTINE)))
            continue;
        open_scene(&s, f);
        vt_mode("%s error handler %d", vt_flags_text(f), m);
        vmma_set_error_handler(s.c, on_error, &s);
        misuse(&s, m);
        CHECK_EQ(s.told, 1, "the error handler ran once");
        vmma_set_error_handler(s.c, NULL, NULL);
        close_scene(&s);
    }
}

int main(void)
{
    vt_begin("busy");
    vt_each_mode(all);
    return vt_end();
}
