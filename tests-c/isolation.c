/*
 * isolation.c: what one client does never shows in another: contents, answers about addresses, deletion,
 * exhaustion, scribbling over its own memory. Public API only.
 */
#include "vt_ctx.h"

enum { PER_CLIENT = 120, CLIENTS = 4 };

typedef struct slot {
    unsigned char *p;
    size_t size;
} slot;

typedef struct town {
    vt_block m;
    vmma_context_t *c;
    vmma_client_t *k[CLIENTS];
    slot s[CLIENTS][PER_CLIENT];
} town;

static uint32_t seed_of(int client, int i)
{
    return (uint32_t)(client * 1000 + i + 1);
}

static int town_open(town *t, vmma_flags_t f)
{
    vt_random r = {f + 11};
    memset(t, 0, sizeof *t);
    t->m = vt_block_open(4 << 20, 104);
    t->c = vmma_create_context(t->m.memory, t->m.size, 0, 8192, f);
    CHECK(t->c != NULL, "a context");
    for (int k = 0; k < CLIENTS; k++)
        t->k[k] = vmma_create_client(t->c);
    for (int i = 0; i < PER_CLIENT; i++)
        for (int k = 0; k < CLIENTS; k++) {
            size_t n = i % 20 == 19 ? 8000 + vt_below(&r, 20000) : vt_log_size(&r, 1, 3000);
            slot *s = &t->s[k][i];
            s->p = (unsigned char *)vmma_alloc(t->k[k], n);
            s->size = vmma_get_size(t->k[k], s->p);
            CHECK(s->p && s->size >= n, "allocations of several clients in turn");
            if (!s->p)
                return 0;
            vt_fill(s->p, s->size, seed_of(k, i));
        }
    return 1;
}

static int contents(const town *t, int k)
{
    for (int i = 0; i < PER_CLIENT; i++)
        if (t->s[k][i].p && (!vt_filled(t->s[k][i].p, t->s[k][i].size, seed_of(k, i)) ||
                             vmma_get_size(t->k[k], t->s[k][i].p) != t->s[k][i].size))
            return 0;
    return 1;
}

static void town_close(town *t)
{
    CHECK_ST(vmma_check_context(t->c), VMMA_OK, "vmma_check_context at the end");
    CHECK_ST(vmma_delete_context(t->c), VMMA_OK, "vmma_delete_context");
    vt_block_close(&t->m);
}

static void blocks_apart(vmma_flags_t f)
{
    town t;
    if (!town_open(&t, f))
        return;
    /* a block has one owner */
    size_t count = t.m.size / 8192 + 2;
    unsigned char *owner = (unsigned char *)calloc(count, 1);
    uintptr_t base = (uintptr_t)t.m.memory / 8192, red = f & VMMA_FLAG_GUARD ? 8 : 0;
    for (int k = 0; k < CLIENTS; k++) {
        size_t held = 0;
        for (int i = 0; i < PER_CLIENT; i++)
            for (uintptr_t b = (uintptr_t)t.s[k][i].p / 8192; b <= ((uintptr_t)t.s[k][i].p + t.s[k][i].size + red - 1) / 8192; b++) {
                CHECK(owner[b - base] == 0 || owner[b - base] == k + 1, "a block is in one client's hands");
                owner[b - base] = (unsigned char)(k + 1);
            }
        for (size_t b = 0; b < count; b++)
            held += owner[b] == k + 1;
        CHECK_EQ(vmma_get_held_size(t.k[k]), held * 8192, "held size: block_size x blocks held (each has something live in it)");
    }
    free(owner);
    for (int k = 0; k < CLIENTS; k++)
        for (int i = 0; i < PER_CLIENT; i++)
            for (int o = 0; o < CLIENTS; o++) {
                slot *s = &t.s[k][i];
                int own = o == k;
                CHECK_EQ(vmma_test_address(t.k[o], s->p + s->size / 2), own, "only the owner finds an address live");
                CHECK_EQ(vmma_get_size(t.k[o], s->p), own ? s->size : 0, "only the owner gets a size");
                CHECK_PTR(vmma_find_allocation(t.k[o], s->p, NULL), own ? s->p : NULL, "only the owner finds the allocation");
                if (!own) {
                    CHECK_ST(vmma_free(t.k[o], s->p), VMMA_E_NOT_OWNED, "a free by another client: NOT_OWNED");
                    errno = 0;
                    CHECK(vmma_realloc(t.k[o], s->p, 10) == NULL, "a realloc by another client fails");
                    CHECK_EQ(errno, EINVAL, "a realloc by another client: EINVAL");
                    CHECK_ST(vmma_get_last_status(t.k[o]), VMMA_E_NOT_OWNED, "a realloc by another client: last status NOT_OWNED");
                }
            }
    for (int k = 0; k < CLIENTS; k++)
        CHECK(contents(&t, k), "contents are intact");
    town_close(&t);
}

/* deleting and resetting one client leaves the others alone, byte for byte */
static void deletion(vmma_flags_t f)
{
    town t;
    if (!town_open(&t, f))
        return;
    size_t held = vmma_get_held_size(t.k[1]), free_blocks = vmma_get_free_blocks(t.c);
    CHECK_ST(vmma_delete_client(t.k[1]), VMMA_OK, "vmma_delete_client");
    CHECK_EQ(vmma_get_free_blocks(t.c), free_blocks + held / 8192, "everything that the client held is free again");
    for (int i = 0; i < PER_CLIENT; i++) {
        CHECK_PTR(vmma_find_client(t.c, t.s[1][i].p), NULL, "a deleted client owns nothing");
        CHECK_EQ(vmma_test_address(t.k[0], t.s[1][i].p), 0, "a deleted client's memory is nobody's");
    }
    held = vmma_get_held_size(t.k[2]);
    free_blocks = vmma_get_free_blocks(t.c);
    CHECK_ST(vmma_reset_client(t.k[2]), VMMA_OK, "vmma_reset_client");
    CHECK_EQ(vt_client_stats(t.k[2]).live_count, 0, "after reset nothing is live");
    vmma_trim_client(t.k[2]);
    CHECK_EQ(vmma_get_free_blocks(t.c), free_blocks + held / 8192, "everything that the client held is free again after reset");
    CHECK(contents(&t, 0) && contents(&t, 3), "the others' contents are intact");
    /* a new client gets the memory; old pointers mean nothing to it */
    vmma_client_t *n = vmma_create_client(t.c);
    for (int i = 0; i < PER_CLIENT; i++) {
        CHECK_EQ(vmma_test_address(n, t.s[1][i].p), 0, "stale records do not speak for a new client");
        CHECK_ST(vmma_free(n, t.s[1][i].p), VMMA_E_NOT_OWNED, "a new client cannot free what an old one had");
    }
    int taken = 0;
    for (unsigned char *p; (p = (unsigned char *)vmma_alloc(n, 500)) != NULL && taken < 3000; taken++)
        memset(p, 0x77, 500);
    CHECK(contents(&t, 0) && contents(&t, 3), "the others' contents are intact after the memory was used again");
    town_close(&t);
}

/* one client takes everything: the others keep what they have, and get on once it lets go */
static void exhaustion(vmma_flags_t f)
{
    town t;
    if (!town_open(&t, f))
        return;
    vt_random r = {3};
    for (int i = 0; i < PER_CLIENT; i++) {
        vmma_free(t.k[3], t.s[3][i].p);
        t.s[3][i].p = NULL;
    }
    size_t n = 0;
    for (size_t size = 65536; size; size /= 2)
        for (unsigned char *p; (p = (unsigned char *)vmma_alloc(t.k[3], size)) != NULL; n++)
            memset(p, (int)vt_next(&r), size);
    CHECK(n > 0, "a client takes all there is");
    vmma_trim_context(t.c);
    CHECK_EQ(vmma_get_free_blocks(t.c), 0, "a client can take all there is");
    CHECK_ST(vmma_get_last_status(t.k[3]), VMMA_E_NO_MEMORY, "then NO_MEMORY");
    for (int k = 0; k < 3; k++) {
        CHECK(contents(&t, k), "the others' contents are intact at exhaustion");
        /* own memory still serves: free one, ask for the same again */
        slot *s = &t.s[k][2];
        size_t size = s->size;
        CHECK_ST(vmma_free(t.k[k], s->p), VMMA_OK, "a free at exhaustion");
        s->p = (unsigned char *)vmma_alloc(t.k[k], size);
        CHECK(s->p != NULL, "a client's own freed memory serves it at exhaustion");
        if (s->p)
            vt_fill(s->p, s->size = vmma_get_size(t.k[k], s->p), seed_of(k, 2));
    }
    CHECK_ST(vmma_check_context(t.c), VMMA_OK, "vmma_check_context at exhaustion");
    vmma_client_t *late = vmma_create_client(t.c);
    if (late) {
        CHECK(vmma_alloc(late, 1) == NULL, "a new client finds nothing");
        CHECK_ST(vmma_delete_client(late), VMMA_OK, "a client without memory is deleted");
    }
    vmma_delete_client(t.k[3]);
    CHECK(vmma_alloc(t.k[0], 65536) != NULL, "once it is deleted the others get memory");
    for (int k = 0; k < 3; k++)
        CHECK(contents(&t, k), "contents are intact at last");
    town_close(&t);
}

/* a client writes over every byte that it may write, then over what it freed: only contents change */
static void scribble(vmma_flags_t f)
{
    town t;
    if (!town_open(&t, f))
        return;
    vt_random r = {9};
    uint64_t before = vt_fingerprint(t.c);
    for (int i = 0; i < PER_CLIENT; i++)
        for (size_t b = 0; b < t.s[0][i].size; b++)
            t.s[0][i].p[b] = (unsigned char)vt_next(&r);
    CHECK(vt_fingerprint(t.c) == before, "what a client writes into its memory changes nothing else");
    CHECK_ST(vmma_check_context(t.c), VMMA_OK, "vmma_check_context after a client wrote over all its memory");
    if (!(f & VMMA_FLAG_QUARANTINE)) {
        for (int i = 0; i < PER_CLIENT; i += 2)
            vmma_free(t.k[0], t.s[0][i].p);
        before = vt_fingerprint(t.c);
        for (int i = 0; i < PER_CLIENT; i += 2) {
            unsigned char junk[64];
            size_t n = t.s[0][i].size < sizeof junk ? t.s[0][i].size : sizeof junk;
            for (size_t b = 0; b < n; b++)
                junk[b] = (unsigned char)vt_next(&r);
            vt_poke(t.s[0][i].p, junk, n);
        }
        CHECK(vt_fingerprint(t.c) == before, "what a client writes into its freed memory changes nothing else");
        CHECK_ST(vmma_check_context(t.c), VMMA_OK, "vmma_check_context after a client wrote over its freed memory");
        for (int i = 0; i < PER_CLIENT; i += 2) {
            CHECK_EQ(vmma_test_address(t.k[0], t.s[0][i].p), 0, "freed stays freed");
            t.s[0][i].p = NULL;
        }
        for (int i = 0; i < 100; i++)
            CHECK(vmma_alloc(t.k[0], vt_log_size(&r, 1, 3000)) != NULL, "it goes on allocating");
    }
    for (int k = 1; k < CLIENTS; k++)
        CHECK(contents(&t, k), "the others' contents are intact");
    town_close(&t);
}

/* nobody's memory: slots of clients never become client memory */
static void slots_stay(vmma_flags_t f)
{
    vt_block m = vt_block_open(1 << 20, 0);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 4096, f);
    enum { N = 300 };
    vmma_client_t *k[N];
    int n = 0;
    while (n < N && (k[n] = vmma_create_client(c)) != NULL)
        n++;
    CHECK_EQ(n, N, "300 clients in 1 MiB");
    for (int i = 0; i < n; i++)
        vmma_delete_client(k[i]);
    vmma_client_t *all = vmma_create_client(c);
    vmma_trim_context(c);
    size_t most = vmma_get_free_blocks(c), got = 0;
    while (vmma_alloc(all, 2000))
        got++;
    CHECK_EQ(vmma_get_held_size(all), most * 4096, "one client takes every free block");
    for (int i = 0; i < n; i++) {
        CHECK_PTR(vmma_find_client(c, k[i]), NULL, "memory that held client slots never becomes client memory");
        if (k[i] != all)
            CHECK_ST(vmma_free(k[i], NULL), VMMA_E_INVALID, "a dead handle stays detectably dead");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
    vmma_delete_context(c);
    vt_block_close(&m);
}

int main(void)
{
    vt_begin("isolation");
    vt_each_mode(blocks_apart);
    vt_each_mode(deletion);
    vt_each_mode(exhaustion);
    vt_each_mode(scribble);
    vt_each_mode(slots_stay);
    return vt_end();
}
