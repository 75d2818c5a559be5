/*
 * handlers.c: callbacks that call what they may not: each is refused, the outer call ends as if nothing had been
 * tried. busy.c has the whole list; here stands what the context looks like afterwards. Public API only.
 */
#include "misuse.h"

static scene *at;
static int calls, depth, most_depth;

/* every changing call at once, on the client concerned, and the context-wide ones */
static void try_everything(vmma_client_t *k, void *p)
{
    CHECK_ST(vmma_free(k, p), VMMA_E_BUSY, "in a callback: vmma_free is BUSY");
    CHECK_ST(vmma_free(k, at->m.memory), VMMA_E_BUSY, "in a callback: even a wild vmma_free is BUSY");
    errno = 0;
    CHECK(vmma_alloc(k, 100) == NULL && errno == EBUSY, "in a callback: vmma_alloc is EBUSY");
    CHECK(vmma_realloc(k, p, 9) == NULL && errno == EBUSY, "in a callback: vmma_realloc is EBUSY");
    CHECK_ST(vmma_delete_client(k), VMMA_E_BUSY, "in a callback: vmma_delete_client is BUSY");
    CHECK_ST(vmma_reset_client(k), VMMA_E_BUSY, "in a callback: vmma_reset_client is BUSY");
    CHECK_ST(vmma_trim_client(k), VMMA_E_BUSY, "in a callback: vmma_trim_client is BUSY");
    CHECK_ST(vmma_set_limit(k, 5), VMMA_E_BUSY, "in a callback: vmma_set_limit is BUSY");
    CHECK_ST(vmma_set_guarantee(k, 5), VMMA_E_BUSY, "in a callback: vmma_set_guarantee is BUSY");
    CHECK_ST(vmma_delete_context(at->c), VMMA_E_BUSY, "in a callback: vmma_delete_context is BUSY");
    CHECK_ST(vmma_trim_context(at->c), VMMA_E_BUSY, "in a callback: vmma_trim_context is BUSY");
}

static int visit_inner(vmma_client_t *k, void *p, size_t n, void *user)
{
    (void)n, (void)user;
    try_everything(k, p);
    return 0;
}

static int visit(vmma_client_t *k, void *p, size_t n, void *user)
{
    (void)n;
    calls++;
    try_everything(k, p);
    if (calls < 4 && user)
        CHECK_ST(vmma_walk_allocations(k, visit_inner, NULL), VMMA_OK, "a walk inside a walk that tries everything");
    return calls >= 8 ? 3 : 0;
}

static int visit_client(vmma_client_t *k, void *user)
{
    (void)user;
    calls++;
    try_everything(at->k[0], at->p[0][0]);
    try_everything(at->k[1], at->p[1][0]);
    CHECK_ST(vmma_delete_client(k), VMMA_E_BUSY, "in a client walk: vmma_delete_client of the one visited is BUSY");
    errno = 0;
    CHECK(vmma_create_client(at->c) == NULL && errno == EBUSY, "in a client walk: vmma_create_client is EBUSY");
    return 0;
}

static int write_text(const char *t, size_t n, void *user)
{
    (void)t, (void)n, (void)user;
    if (calls++ < 2)
        visit_client(at->k[0], NULL);
    return 0;
}

/* misuse inside the error handler: refused, never told from inside itself */
static void on_error(vmma_context_t *c, const vmma_error_t *e, void *user)
{
    (void)user;
    calls++;
    depth++;
    if (depth > most_depth)
        most_depth = depth;
    if (depth < 5) {
        CHECK_PTR(c, at->c, "the error handler's context");
        vmma_client_t *other = e->client == at->k[0] ? at->k[1] : at->k[0];
        try_everything(e->client, at->p[e->client == at->k[1]][0]);
        CHECK_ST(vmma_free(other, at->m.map), VMMA_E_NOT_OWNED, "misuse of another client inside the error handler is refused");
        CHECK_ST(vmma_dump(c, 12345, NULL, NULL), VMMA_E_INVALID, "misuse of the context inside the error handler is refused");
    }
    depth--;
}

static int on_oom(vmma_client_t *k, size_t size, int reason, void *user)
{
    (void)reason;
    ++*(int *)user;
    CHECK_ST(vmma_delete_client(k), VMMA_E_BUSY, "in the out-of-memory handler: vmma_delete_client is BUSY");
    CHECK_ST(vmma_reset_client(k), VMMA_E_BUSY, "in the out-of-memory handler: vmma_reset_client is BUSY");
    CHECK_ST(vmma_delete_context(at->c), VMMA_E_BUSY, "in the out-of-memory handler: vmma_delete_context is BUSY");
    CHECK(vmma_alloc(k, size) == NULL, "in the out-of-memory handler: the same request fails again, without recursion");
    CHECK_ST(vmma_free(k, at->m.map), VMMA_E_NOT_OWNED, "in the out-of-memory handler: misuse is refused");
    return 0;
}

static int both_dead(vmma_client_t *k, void *p, size_t n, void *user)
{
    (void)k, (void)p, (void)n;
    vmma_client_t **other = (vmma_client_t **)user;
    if (*other) {
        CHECK_ST(vmma_delete_client(*other), VMMA_OK, "in a walk: another client than the one walked may be deleted");
        *other = NULL;
    }
    return 0;
}

static void body(scene *s)
{
    int oom_calls = 0;
    at = s;
    calls = 0;
    scene_before(s);
    CHECK_EQ(vmma_walk_allocations(s->k[0], visit, s), 3, "a walk whose callback tries everything ends with the callback's value");
    CHECK(calls >= 8, "the callback ran");
    errno = VT_ERRNO_MARK;
    scene_after(s);
    CHECK_EQ(s->e.count, 0, "BUSY is no misuse: nobody is told");
    calls = 0;
    CHECK_ST(vmma_walk_clients(s->c, visit_client, NULL), VMMA_OK, "a client walk whose callback tries everything");
    CHECK_EQ(calls, 2, "its callback ran for each client");
    CHECK(vt_fingerprint(s->c) == s->print, "and nothing changed");
    for (int format = 0; format < 3; format++) {
        calls = 0;
        CHECK_ST(vmma_dump(s->c, format, write_text, NULL), VMMA_OK, "a dump whose writer tries everything");
        CHECK(vt_fingerprint(s->c) == s->print, "and nothing changed");
    }
    vmma_set_error_handler(s->c, on_error, NULL);
    calls = most_depth = 0;
    CHECK_ST(vmma_free(s->k[0], s->m.map), VMMA_E_NOT_OWNED, "misuse whose handler tries everything keeps its result");
    CHECK_EQ(calls, 1, "the error handler ran once");
    CHECK_EQ(most_depth, 1, "the error handler is never told from inside itself");
    calls = 0;
    CHECK(vmma_aligned_alloc(s->k[1], 3, 3) == NULL && calls == 1, "the same by an allocating function");
    CHECK(vt_fingerprint(s->c) == s->print, "and nothing changed");
    vmma_set_error_handler(s->c, vt_on_error, &s->e);
    vmma_set_limit(s->k[0], s->bs);
    vmma_set_oom_handler(s->k[0], on_oom, &oom_calls);
    CHECK(vmma_alloc(s->k[0], 40000) == NULL, "a request above the limit fails");
    CHECK_EQ(oom_calls, 1, "the handler ran once");
    vmma_set_oom_handler(s->k[0], NULL, NULL);
    vmma_set_limit(s->k[0], 0);
    CHECK(scene_contents(s), "contents are intact");
    vmma_client_t *other = vmma_create_client(s->c);
    CHECK_ST(vmma_walk_allocations(s->k[0], both_dead, &other), VMMA_OK, "a walk in which another client dies");
    CHECK_ST(vmma_check_context(s->c), VMMA_OK, "the records are sound");
}

int main(void)
{
    return scene_main("misuse/handlers", body);
}
