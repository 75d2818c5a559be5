/*
 * oom.c: the out-of-memory handler: when it runs, with what, what it may do, when it is called again, what is
 * refused inside it. Public API only.
 */
#include "vt_ctx.h"

enum { BS = 4096, MOST = 400 };

typedef struct oom {
    vmma_context_t *c;
    vmma_client_t *k, *other;
    void *p[MOST];           /* block-sized allocations of k, or of other */
    int n, calls, reason, answer;
    int act;                 /* what the handler does */
    size_t size;
    size_t request;          /* of one block */
    void *moved;             /* what realloc is about to move */
    size_t half;             /* the size to which the handler shrinks it */
    int first;               /* from this one on p has small pieces */
} oom;

enum { NOTHING, FREE_ONE, FREE_OTHERS, DELETE_OTHER, TRIM_CONTEXT, RAISE, RAISE_ONCE, FORBIDDEN, NESTED, FREE_ONCE, TRIM_OTHER, RESET_OTHER,
       FREE_MOVED, SHRINK_MOVED, FREE_SMALL, RESET_AND_FREE };

static int on_oom(vmma_client_t *k, size_t size, int reason, void *user)
{
    oom *o = (oom *)user;
    o->calls++;
    o->size = size;
    o->reason = reason;
    CHECK_PTR(k, o->k, "the handler gets its client");
    if (o->calls > 200)
        return 0;
    switch (o->act) {
    case FREE_ONE:
        if (o->n)
            CHECK_ST(vmma_free(k, o->p[--o->n]), VMMA_OK, "the handler may free");
        return o->answer;
    case FREE_ONCE:
        if (o->calls == 1)
            CHECK_ST(vmma_free(k, o->p[--o->n]), VMMA_OK, "the handler may free once");
        return o->answer;
    case FREE_MOVED:
        CHECK_ST(vmma_free(k, o->moved), VMMA_OK, "the handler frees what realloc is about to move");
        CHECK_ST(vmma_free(k, o->p[--o->n]), VMMA_OK, "and makes room");
        return 1;
    case SHRINK_MOVED:
        CHECK_PTR(vmma_realloc(k, o->moved, o->half), o->moved, "the handler shrinks what realloc is about to move");
        CHECK_ST(vmma_free(k, o->p[--o->n]), VMMA_OK, "and makes room");
        return 1;
    case FREE_OTHERS:
        if (o->n)
            CHECK_ST(vmma_free(o->other, o->p[--o->n]), VMMA_OK, "the handler may free other clients' memory");
        return o->answer;
    case DELETE_OTHER:
        if (o->other) {
            CHECK_ST(vmma_delete_client(o->other), VMMA_OK, "the handler may delete other clients");
            o->other = NULL;
        }
        return o->answer;
    case RESET_OTHER:
        CHECK_ST(vmma_reset_client(o->other), VMMA_OK, "the handler may reset other clients");
        return o->answer;
    case FREE_SMALL:
        if (o->n > o->first)
            CHECK_ST(vmma_free(o->other, o->p[--o->n]), VMMA_OK, "the handler may free other clients' small pieces");
        return o->answer;
    case RESET_AND_FREE:
        if (o->calls == 1)
            CHECK_ST(vmma_reset_client(o->other), VMMA_OK, "the handler may reset other clients");
        if (o->calls <= 5) {
            void *p = vmma_alloc(o->other, 24), *q = vmma_alloc(o->other, 24);
            CHECK(p && q, "what the handler reset may allocate");
            CHECK_ST(vmma_free(o->other, p), VMMA_OK, "and free");
            CHECK_ST(vmma_free(o->other, q), VMMA_OK, "and free");
        }
        return 1;
    case TRIM_CONTEXT:
        CHECK_ST(vmma_trim_context(o->c), VMMA_OK, "the handler may trim the context");
        return o->answer;
    case TRIM_OTHER:
        CHECK_ST(vmma_trim_client(o->other), VMMA_OK, "the handler may trim another client");
        return o->answer;
    case RAISE:
        CHECK_ST(vmma_set_limit(k, vmma_get_limit(k) + BS), VMMA_OK, "the handler may raise the limit");
        return o->answer;
    case RAISE_ONCE:
        if (o->calls == 1)
            CHECK_ST(vmma_set_limit(k, vmma_get_limit(k) + BS), VMMA_OK, "the handler may raise the limit once");
        return o->answer;
    case FORBIDDEN: {
        size_t held = vmma_get_held_size(k);
        CHECK_ST(vmma_delete_client(k), VMMA_E_BUSY, "in the handler: vmma_delete_client of its own client is BUSY");
        CHECK_ST(vmma_reset_client(k), VMMA_E_BUSY, "in the handler: vmma_reset_client of its own client is BUSY");
        CHECK_ST(vmma_delete_context(o->c), VMMA_E_BUSY, "in the handler: vmma_delete_context is BUSY");
        CHECK_EQ(vmma_get_held_size(k), held, "in the handler: BUSY changed nothing");
        CHECK_ST(vmma_check_context(o->c), VMMA_OK, "in the handler: vmma_check_context OK");
        CHECK_EQ(vt_client_stats(k).live_count, o->n, "in the handler: questions are answered");
        return 0;
    }
    case NESTED: {
        int calls = o->calls;
        errno = 0;
        CHECK(vmma_alloc(k, size) == NULL, "an allocation inside the handler that fails");
        CHECK_EQ(errno, ENOMEM, "an allocation inside the handler that fails: ENOMEM");
        CHECK_EQ(o->calls, calls, "an allocation made inside the handler does not call it again");
        CHECK_ST(vmma_free(k, o->p[--o->n]), VMMA_OK, "the handler frees one");
        void *p = vmma_alloc(k, o->request);
        CHECK(p != NULL, "an allocation inside the handler may succeed");
        CHECK_ST(vmma_free(k, p), VMMA_OK, "the handler frees it again");
        CHECK_EQ(o->calls, calls, "still not called again");
        return o->answer;
    }
    default:
        return o->answer;
    }
}

/* A client that fills the context (or its limit) with block-sized allocations, handler set but idle. */
static void open_full(oom *o, vmma_flags_t f, size_t limit, int of_other)
{
    memset(o, 0, sizeof *o);
    o->c = vmma_create_context(NULL, 512 * 1024, 0, BS, f);
    o->k = vmma_create_client(o->c);
    o->other = vmma_create_client(o->c);
    o->request = f & VMMA_FLAG_GUARD ? BS - 512 : BS;
    if (limit)
        vmma_set_limit(o->k, limit);
    while (o->n < MOST && (o->p[o->n] = vmma_alloc(of_other ? o->other : o->k, o->request)) != NULL)
        o->n++;
    CHECK(o->n > 5 && o->n < MOST, "the client is full");
    CHECK_ST(vmma_set_oom_handler(o->k, on_oom, o), VMMA_OK, "vmma_set_oom_handler: OK");
}

static void expect(oom *o, const char *what, int act, int answer, int success, int calls)
{
    vt_mode("%s", what);
    o->act = act;
    o->answer = answer;
    o->calls = 0;
    errno = 0;
    void *p = vmma_alloc(o->k, o->request);
    CHECK_EQ(p != NULL, success, "the request ends as the handler made it");
    CHECK_EQ(o->calls, calls, "the handler ran as often as documented");
    if (!success)
        CHECK_EQ(errno, ENOMEM, "a request that fails after all: ENOMEM");
    CHECK_ST(vmma_check_context(o->c), VMMA_OK, "vmma_check_context after the handler");
    if (calls)
        CHECK_EQ(o->size, o->request, "the handler gets the size asked for");
}

static void rules(vmma_flags_t f)
{
    oom o;
    open_full(&o, f, 0, 0);
    expect(&o, "zero means fail", NOTHING, 0, 0, 1);
    CHECK_ST(o.reason, VMMA_E_NO_MEMORY, "the reason NO_MEMORY");
    CHECK_ST(vmma_get_last_status(o.k), VMMA_E_NO_MEMORY, "the last status is the reason");
    expect(&o, "retry without anything freed", NOTHING, 1, 0, 1);
    expect(&o, "free one and retry", FREE_ONE, 1, 1, 1);
    expect(&o, "free one, but fail", FREE_ONE, 0, 0, 1);
    expect(&o, "no handler needed", NOTHING, 1, 1, 0);
    expect(&o, "negative is non-zero, too", FREE_ONE, -1, 1, 1);
    expect(&o, "what is forbidden (counts)", NOTHING, 0, 0, 1);
    o.n = (int)vt_client_stats(o.k).live_count;
    expect(&o, "what is forbidden", FORBIDDEN, 0, 0, 1);
    CHECK_ST(vmma_set_oom_handler(o.k, NULL, NULL), VMMA_OK, "a NULL handler removes the handler");
    o.calls = 0;
    CHECK(vmma_alloc(o.k, BS) == NULL && o.calls == 0, "a removed handler does not run");
    vmma_delete_context(o.c);

    /* neighbours one by one: called again exactly when something was freed since its last call */
    open_full(&o, f, 0, 0);
    vt_mode("%s a run freed block by block", vt_flags_text(f));
    o.act = FREE_ONE;
    o.answer = 1;
    size_t run = 5 * BS - (f & VMMA_FLAG_GUARD ? 512 : 0);
    void *p = vmma_alloc(o.k, run);
    CHECK(p != NULL, "a run after enough was freed");
    CHECK(o.calls >= 5, "called again after each retry that fails, because something was freed");
    CHECK_EQ(o.size, run, "the handler gets the size of the run");
    vmma_delete_context(o.c);

    open_full(&o, f, 0, 0);
    vt_mode("%s freed once, needs more", vt_flags_text(f));
    o.act = FREE_ONCE;
    o.answer = 1;
    CHECK(vmma_alloc(o.k, 5 * BS) == NULL, "a run that cannot be had");
    CHECK_EQ(o.calls, 2, "called again since something was freed, then not: nothing was");
    CHECK_ST(vmma_get_last_status(o.k), VMMA_E_NO_MEMORY, "then NO_MEMORY");
    vmma_delete_context(o.c);

    open_full(&o, f, 0, 0);
    expect(&o, "nested", NESTED, 1, 1, 1);
    vmma_delete_context(o.c);

    /* limit */
    open_full(&o, f, 20 * BS, 0);
    expect(&o, "limit, fail", NOTHING, 0, 0, 1);
    CHECK_ST(o.reason, VMMA_E_LIMIT, "the reason LIMIT");
    CHECK_ST(vmma_get_last_status(o.k), VMMA_E_LIMIT, "the last status LIMIT");
    expect(&o, "limit, raise", RAISE, 1, 1, 1);
    expect(&o, "limit, free", FREE_ONE, 1, 1, 1);
    o.act = RAISE_ONCE;
    o.calls = 0;
    o.answer = 1;
    CHECK(vmma_alloc(o.k, 4 * BS) == NULL, "a raise that is too small");
    CHECK_EQ(o.calls, 2, "called again since the limit was raised, then not");
    o.act = RAISE;
    o.calls = 0;
    CHECK(vmma_alloc(o.k, 4 * BS) != NULL, "raised again and again until it fits");
    CHECK(o.calls >= 2 && o.calls <= 6, "called once per raise");
    vmma_delete_context(o.c);

    /* other clients hold everything */
    open_full(&o, f, 0, 1);
    vt_mode("%s free others' memory", vt_flags_text(f));
    o.act = FREE_OTHERS;
    o.answer = 1;
    if (!(f & VMMA_FLAG_QUARANTINE)) {   /* the other client's quarantine may keep it all */
        CHECK(vmma_alloc(o.k, o.request) != NULL, "the handler frees other clients' memory: the request succeeds");
        CHECK(f & VMMA_FLAG_NO_CACHE ? o.calls == 1 : o.calls >= 1, "with NO_CACHE one free is enough");
    }
    vmma_delete_context(o.c);
    open_full(&o, f, 0, 1);
    expect(&o, "delete another client", DELETE_OTHER, 1, 1, 1);
    vmma_delete_context(o.c);
    open_full(&o, f, 0, 1);
    vt_mode("%s another client's kept blocks", vt_flags_text(f));
    while (o.n)
        vmma_free(o.other, o.p[--o.n]);
    o.act = TRIM_CONTEXT;
    o.answer = 1;
    vmma_set_limit(o.k, 0);
    size_t all = vmma_get_free_blocks(o.c) + vmma_get_held_size(o.other) / BS;
    CHECK(vmma_alloc(o.k, all * BS - (f & VMMA_FLAG_GUARD ? 512 : 0)) != NULL, "the handler trims the context: everything can be had");
    CHECK(o.calls <= 1, "at most one call for that");
    vmma_delete_context(o.c);
    open_full(&o, f, 0, 1);
    while (o.n)
        vmma_free(o.other, o.p[--o.n]);
    o.act = TRIM_OTHER;
    o.answer = 1;
    CHECK(vmma_alloc(o.k, all * BS - (f & VMMA_FLAG_GUARD ? 512 : 0)) != NULL, "the handler trims another client: everything can be had");
    vmma_delete_context(o.c);
    open_full(&o, f, 0, 1);
    o.act = RESET_OTHER;
    o.answer = 1;
    CHECK(vmma_alloc(o.k, 64) != NULL, "the handler resets another client: memory can be had (a reset may keep no block)");
    vmma_delete_context(o.c);
}

/* every allocating function calls it, and what does not call it */
static void who_calls(vmma_flags_t f)
{
    oom o;
    open_full(&o, f, 20 * BS, 0);
    vt_mode("%s", vt_flags_text(f));
    o.act = NOTHING;
#define CALLS(expression, times, bytes)                                             \
    do {                                                                            \
        o.calls = 0;                                                                \
        CHECK((expression) == NULL, "fails: " #expression);                         \
        CHECK_EQ(o.calls, times, "the handler runs " #times " times in " #expression); \
        if (times)                                                                  \
            CHECK_EQ(o.size, bytes, "the handler's size in " #expression);          \
    } while (0)
    CALLS(vmma_alloc(o.k, BS), 1, BS);
    CALLS(vmma_alloc(o.k, 100), 1, 100);
    CALLS(vmma_calloc(o.k, 3, 50), 1, 150);
    CALLS(vmma_realloc(o.k, NULL, 77), 1, 77);
    CALLS(vmma_realloc(o.k, o.p[0], 3 * BS), 1, 3 * BS);
    CALLS(vmma_aligned_alloc(o.k, 64, 200), 1, 200);
    CALLS(vmma_lua_alloc(o.k, NULL, 0, 99), 1, 99);
    CALLS(vmma_lua_alloc(o.k, o.p[1], BS, 2 * BS), 1, 2 * BS);
    /* not for impossible sizes, whatever the limit */
    CALLS(vmma_alloc(o.k, SIZE_MAX), 0, 0);
    CALLS(vmma_alloc(o.k, 1 << 20), 0, 0);
    CHECK_ST(vmma_get_last_status(o.k), VMMA_E_NO_MEMORY, "sizes that even the empty context could not serve: NO_MEMORY");
    CALLS(vmma_calloc(o.k, SIZE_MAX / 2, 3), 0, 0);
    CALLS(vmma_realloc(o.k, o.p[0], SIZE_MAX - 100), 0, 0);
    CALLS(vmma_aligned_alloc(o.k, 64, SIZE_MAX - 3), 0, 0);
    /* not for wrong parameters */
    CALLS(vmma_aligned_alloc(o.k, 3, 200), 0, 0);
    CALLS(vmma_realloc(o.k, (char *)o.p[0] + 16, 100), 0, 0);
    CALLS(vmma_alloc(NULL, 100), 0, 0);
    o.calls = 0;
    CHECK_EQ(vmma_get_max_alloc(o.k), 0, "vmma_get_max_alloc: 0 = nothing");
    CHECK_EQ(o.calls, 0, "vmma_get_max_alloc does not call the handler");
    CHECK_ST(vmma_set_guarantee(o.k, 10 * BS), VMMA_OK, "a guarantee below what is held");
    CHECK(vmma_set_guarantee(o.k, 900 * BS) != VMMA_OK && o.calls == 0, "vmma_set_guarantee does not call the handler");
    CHECK(vmma_realloc(o.k, o.p[0], 10) != NULL && o.calls == 0, "a shrink does not call the handler");
    CHECK(vmma_alloc(o.other, 10 << 20) == NULL && o.calls == 0, "another client's failure does not call it");
    /* it stays over a reset, not over the end of the client */
    CHECK_ST(vmma_reset_client(o.k), VMMA_OK, "vmma_reset_client");
    o.calls = 0;
    CHECK(vmma_alloc(o.k, 30 * BS) == NULL && o.calls == 1, "the handler stays over a reset");
    vmma_delete_client(o.k);
    o.k = vmma_create_client(o.c);
    vmma_set_limit(o.k, BS);
    o.calls = 0;
    CHECK(vmma_alloc(o.k, 30 * BS) == NULL && o.calls == 0, "a new client in the old slot has no handler");
    vmma_delete_context(o.c);
}

/* A full client with room for two small pieces, which its realloc is to move and which lies beside that. */
static void *open_moved(oom *o, vmma_flags_t f, size_t size, const char *what)
{
    open_full(o, f, 0, 0);
    vt_mode("%s %zu bytes, %s while they are moved", vt_flags_text(f), size, what);
    CHECK_ST(vmma_free(o->k, o->p[--o->n]), VMMA_OK, "room for small ones");
    o->moved = vmma_alloc(o->k, size);
    void *beside = vmma_alloc(o->k, size);
    CHECK(o->moved && beside, "two small ones");
    return beside;
}

/* A program that frees, in the handler, what its realloc is about to move: the same as a free too many. */
static void freed_meanwhile(vmma_flags_t f)
{
    for (size_t size = 16; size <= 512; size *= 2) {
        oom o;
        void *beside = open_moved(&o, f, size, "freed");
        o.act = FREE_MOVED;
        errno = 0;
        CHECK(vmma_realloc(o.k, o.moved, o.request) == NULL, "what is freed meanwhile is not moved");
        CHECK_EQ(o.calls, 1, "the handler ran");
        CHECK_EQ(errno, EINVAL, "what is freed meanwhile: EINVAL");
        int status = vmma_get_last_status(o.k);
        CHECK(status == VMMA_E_DOUBLE_FREE || status == VMMA_E_NOT_OWNED || status == VMMA_E_NOT_START, "and the status of a free too many");
        CHECK_ST(vmma_check_context(o.c), VMMA_OK, "vmma_check_context after it");
        CHECK_EQ(vt_client_stats(o.k).live_count, (size_t)o.n + 1, "nothing is left of the move");
        CHECK_ST(vmma_free(o.k, beside), VMMA_OK, "its neighbour is as it was");
        vmma_delete_context(o.c);
    }
}

/* The same piece, with another size: it is moved as it is now. */
static void shrunk_meanwhile(vmma_flags_t f)
{
    static const size_t pairs[][2] = {{20, 18}, {60, 58}, {100, 78}, {500, 270}, {1300, 1100}};
    f |= VMMA_FLAG_ZERO;
    for (unsigned i = 0; vt_has(f) && i < VT_COUNT(pairs); i++) {
        size_t size = pairs[i][0];
        oom o;
        void *beside = open_moved(&o, f, size, "shrunk");
        vt_fill(o.moved, size, 7);
        o.half = pairs[i][1];
        o.act = SHRINK_MOVED;
        unsigned char *moved = (unsigned char *)vmma_realloc(o.k, o.moved, o.request);
        CHECK(moved != NULL && o.calls == 1, "what is shrunk meanwhile is moved");
        if (moved) {
            size_t zero = 0, usable = vmma_get_size(o.k, moved);
            CHECK(vt_filled(moved, o.half, 7), "its content is kept");
            for (size_t b = size; b < usable; b++)
                zero += moved[b] == 0;
            CHECK_EQ(zero, usable - size, "and what is new is zero");
            if (f & VMMA_FLAG_GUARD)
                for (size_t b = o.half; b < size; b++)
                    CHECK_EQ(moved[b], 0, "no red zone becomes content");
        }
        CHECK_ST(vmma_free(o.k, beside), VMMA_OK, "its neighbour is as it was");
        CHECK_ST(vmma_check_context(o.c), VMMA_OK, "vmma_check_context after it");
        vmma_delete_context(o.c);
    }
}

/* Small pieces of another client: each call frees one, so it is called once more, and no more often. */
static void each_free_counts(vmma_flags_t f)
{
    /* With THREADS alone another client's memory counts by what is live of it: a piece that comes and goes leaves no trace. */
    for (int reset = 0; reset < (f & VMMA_FLAG_THREADS ? 1 : 2); reset++) {
        oom o;
        open_full(&o, f, 0, 0);
        vt_mode("%s, small pieces of another client%s", vt_flags_text(f), reset ? ", which was reset meanwhile" : "");
        CHECK_ST(vmma_free(o.k, o.p[--o.n]), VMMA_OK, "room for small ones");
        CHECK_ST(vmma_trim_client(o.k), VMMA_OK, "and not kept");
        int small = 0;
        for (int i = 0; i < 40 && small < 7; i++)
            if ((o.p[o.n] = vmma_alloc(o.other, 24)) != NULL)
                o.n++, small++;
        CHECK_EQ(small, 7, "seven small ones");
        o.act = reset ? RESET_AND_FREE : FREE_SMALL;
        o.answer = 1;
        o.first = o.n - small;
        CHECK(vmma_alloc(o.k, 3 * BS) == NULL, "all of that does not make room");
        CHECK_EQ(o.calls, reset ? 6 : 8, "the handler is called again exactly when something was freed");
        CHECK_ST(vmma_check_context(o.c), VMMA_OK, "vmma_check_context after it");
        vmma_delete_context(o.c);
    }
}

int main(void)
{
    vt_begin("oom");
    vt_each_mode(rules);
    vt_each_mode(each_free_counts);
    each_free_counts(VMMA_FLAG_THREADS);
    if (vt_has(VMMA_FLAG_PACKED))
        each_free_counts(VMMA_FLAG_THREADS | VMMA_FLAG_PACKED);
    vt_each_mode(freed_meanwhile);
    vt_each_mode(shrunk_meanwhile);
    vt_each_mode(who_calls);
    return vt_end();
}
