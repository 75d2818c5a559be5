/*
 * stress.c: random operations of several clients under every combination of flags, contents checked, a shadow
 * map of who owns what, vmma_check_context often, at the end "all freed: one largest block again".
 * Public API only.
 */
#include "vt_ctx.h"

enum { CLIENTS = 5, SLOTS = 160 };

typedef struct item {
    unsigned char *p;
    size_t size;      /* vmma_get_size */
    uint32_t seed;
} item;

typedef struct world {
    vt_block m;
    vt_shadow shadow;
    vmma_context_t *c;
    vmma_client_t *k[CLIENTS];
    item it[CLIENTS][SLOTS];
    vmma_flags_t f;
    vt_random r;
    size_t alignment, bs;
} world;

static int verify(world *w, int k, item *i)
{
    (void)w;
    (void)k;
    return vt_filled(i->p, i->size, i->seed);
}

static void take(world *w, int k, item *i, void *p, size_t asked, size_t alignment)
{
    i->p = (unsigned char *)p;
    if (!p)
        return;
    i->size = vmma_get_size(w->k[k], p);
    i->seed = (uint32_t)vt_next(&w->r);
    size_t n = asked ? asked : 1;
    CHECK(i->size >= n, "an allocation is as large as asked");
    if (w->f & VMMA_FLAG_GUARD)
        CHECK_EQ(i->size, n, "with GUARD exactly");
    CHECK(vt_aligned(p, alignment), "an allocation is aligned");
    CHECK(i->p >= w->m.memory && i->p + i->size <= w->m.memory + w->m.size, "an allocation lies in the memory block");
    CHECK(vt_shadow_move(&w->shadow, p, i->size, 0, (unsigned)k + 1), "an allocation overlaps no other");
    vt_fill(p, i->size, i->seed);
}

static size_t natural(world *w, size_t n)
{
    size_t a = vt_pow2_above(n ? n : 1);
    if (w->f & VMMA_FLAG_PACKED)
        a = w->alignment;
    if (a > w->bs)
        a = w->bs;
    return a > w->alignment ? a : w->alignment;
}

static void give(world *w, int k, item *i)
{
    CHECK(verify(w, k, i), "contents stay until the free");
    CHECK(vt_shadow_move(&w->shadow, i->p, i->size, (unsigned)k + 1, 0), "the shadow map agrees");
    CHECK_ST(vmma_free(w->k[k], i->p), VMMA_OK, "vmma_free of a live allocation");
    i->p = NULL;
}

static size_t some_size(world *w)
{
    unsigned kind = (unsigned)vt_below(&w->r, 100);
    if (kind < 2)
        return vt_below(&w->r, 6 * w->bs);
    if (kind < 6)
        return vt_log_size(&w->r, 256, w->bs);
    return vt_below(&w->r, kind < 60 ? 80 : 1200);
}

static void one_step(world *w)
{
    int k = (int)vt_below(&w->r, CLIENTS);
    item *i = &w->it[k][vt_below(&w->r, SLOTS)];
    vmma_client_t *client = w->k[k];
    unsigned op = (unsigned)vt_below(&w->r, 1000);
    size_t n = some_size(w);
    if (op < 8) {           /* misuse in the middle of work */
        unsigned char *wild = w->m.memory + vt_below(&w->r, w->m.size);
        if (vmma_find_client(w->c, wild) != client || vmma_find_allocation(client, wild, NULL) != wild)
            CHECK(vmma_free(client, wild) < 0, "a wild free is refused");
    } else if (op < 12) {
        CHECK_ST(vmma_trim_client(client), VMMA_OK, "vmma_trim_client");
    } else if (op < 14) {   /* the end of a client, whatever is live */
        for (int j = 0; j < SLOTS; j++)
            if (w->it[k][j].p) {
                CHECK(verify(w, k, &w->it[k][j]), "contents stay until the end of the client");
                vt_shadow_move(&w->shadow, w->it[k][j].p, w->it[k][j].size, (unsigned)k + 1, 0);
                w->it[k][j].p = NULL;
            }
        if (op == 12) {
            CHECK_ST(vmma_reset_client(client), VMMA_OK, "vmma_reset_client");
        } else {
            CHECK_ST(vmma_delete_client(client), VMMA_OK, "vmma_delete_client");
            w->k[k] = vmma_create_client(w->c);
            CHECK(w->k[k] != NULL, "a deleted client's slot serves a new one");
        }
    } else if (!i->p) {
        if (op < 750) {
            void *p = vmma_alloc(client, n);
            if (p && (w->f & VMMA_FLAG_ZERO))
                CHECK(vt_all_zero(p, vmma_get_size(client, p)), "ZERO: all vmma_get_size bytes of a new allocation are zero");
            take(w, k, i, p, n, natural(w, n));
        } else if (op < 850) {
            size_t count = 1 + vt_below(&w->r, 20);
            void *p = vmma_calloc(client, count, n / count);
            if (p)
                CHECK(vt_all_zero(p, count * (n / count)), "vmma_calloc is zeroed");
            take(w, k, i, p, count * (n / count), w->alignment);
        } else {
            size_t a = (size_t)1 << vt_below(&w->r, 12);
            a = a > w->bs ? w->bs : a;
            void *p = vmma_aligned_alloc(client, a, n);
            if (p && (w->f & VMMA_FLAG_ZERO))
                CHECK(vt_all_zero(p, vmma_get_size(client, p)), "ZERO: also of vmma_aligned_alloc");
            take(w, k, i, p, n, a > w->alignment ? a : w->alignment);
        }
    } else if (op < 600) {
        give(w, k, i);
    } else {
        item old = *i;
        CHECK(verify(w, k, i), "contents stay until the realloc");
        CHECK(vt_shadow_move(&w->shadow, i->p, i->size, (unsigned)k + 1, 0), "the shadow map agrees");
        void *p = vmma_realloc(client, old.p, n);
        if (!p) {
            CHECK((n ? n : 1) > old.size, "a shrink never fails");
            vt_shadow_move(&w->shadow, old.p, old.size, 0, (unsigned)k + 1);
            CHECK(verify(w, k, i), "a failed realloc leaves ptr as it was");
            return;
        }
        size_t kept = old.size < (n ? n : 1) ? old.size : (n ? n : 1);
        CHECK(vt_filled(p, kept, old.seed), "vmma_realloc keeps the contents");
        if (w->f & VMMA_FLAG_ZERO && vmma_get_size(client, p) > old.size)
            CHECK(vt_all_zero((char *)p + old.size, vmma_get_size(client, p) - old.size), "ZERO: realloc zeroes from the old to the new size");
        take(w, k, i, p, n, natural(w, n));
    }
}

static void counts(world *w)
{
    size_t held = 0;
    for (int k = 0; k < CLIENTS; k++) {
        size_t count = 0, size = 0;
        for (int j = 0; j < SLOTS; j++)
            if (w->it[k][j].p) {
                count++;
                size += w->it[k][j].size;
            }
        vmma_stats_t s = vt_client_stats(w->k[k]);
        CHECK_EQ(s.live_count, count, "stats: live_count");
        CHECK_EQ(s.live_size, size, "stats: live_size");
        held += vmma_get_held_size(w->k[k]);
    }
    CHECK_EQ(vt_context_stats(w->c).held_size, held, "stats: held_size of all clients");
    CHECK_EQ(vmma_get_client_count(w->c), CLIENTS, "client count");
}

static void combination(vmma_flags_t f, long steps, size_t alignment, size_t bs)
{
    static world w;
    memset(&w, 0, sizeof w);
    vt_mode("%s alignment %zu block %zu", vt_flags_text(f), alignment, bs);
    w.f = f;
    w.r.state = f * 977 + alignment;
    w.alignment = alignment;
    w.bs = bs;
    w.m = vt_block_open(600000, (f * 8 + 8) % 2048);
    w.c = vmma_create_context(w.m.memory, w.m.size, alignment, bs, f);
    NEED(w.c != NULL, "a context for every combination of flags");
    for (int k = 0; k < CLIENTS; k++)
        w.k[k] = vmma_create_client(w.c);
    vt_shadow_open(&w.shadow, w.m.memory, w.m.size);
    size_t fresh = vmma_get_free_blocks(w.c);
    for (long step = 0; step < steps; step++) {
        one_step(&w);
        if (step % 64 == 63)
            CHECK_ST(vmma_check_context(w.c), VMMA_OK, "vmma_check_context in the middle");
        if (step % 512 == 511)
            counts(&w);
    }
    counts(&w);
    for (int k = 0; k < CLIENTS; k++)
        for (int j = 0; j < SLOTS; j++)
            if (w.it[k][j].p)
                give(&w, k, &w.it[k][j]);
    CHECK_ST(vmma_check_context(w.c), VMMA_OK, "vmma_check_context when all is freed");
    CHECK_ST(vmma_trim_context(w.c), VMMA_OK, "vmma_trim_context");
    CHECK_EQ(vmma_get_free_blocks(w.c), fresh, "all freed: all blocks are free again");
    size_t all = vmma_get_max_alloc(w.k[0]), most = fresh * bs;
    if (f & VMMA_FLAG_GUARD)
        CHECK(all <= most - 8 && all >= most - bs / 2, "all freed: one largest block again (less the red zone)");
    else
        CHECK_EQ(all, most, "all freed: one largest block again");
    void *p = vmma_alloc(w.k[0], all);
    CHECK(p != NULL, "all freed: the largest block can be allocated");
    CHECK_EQ(vmma_get_free_blocks(w.c), 0, "it is everything");
    CHECK_ST(vmma_free(w.k[0], p), VMMA_OK, "it is freed");
    CHECK_ST(vmma_check_context(w.c), VMMA_OK, "vmma_check_context at the end");
    vmma_delete_context(w.c);
    vt_shadow_close(&w.shadow);
    vt_block_close(&w.m);
}

int main(void)
{
    static const size_t geometry[][2] = {{16, 4096}, {8, 1024}, {64, 16384}, {8, 65536}};
    vt_begin("stress");
    long steps = vt_loops(1200, 120);
    int turn = 0;
    for (vmma_flags_t f = 0; f < VMMA_FLAG_ABORT; f++) {
        if ((f & 3) == 2 || !vt_has(f))
            continue; /* SHARED_CLIENTS brings THREADS with it: the same as 3 */
        if (!vt_loops(1, 0) && (f * 7 % 31))
            continue;
        turn++;
        combination(f, steps, geometry[turn % 4][0], geometry[turn % 4][1]);
    }
    for (unsigned i = 0; i < VT_COUNT(geometry); i++) {
        combination(0, steps * 20, geometry[i][0], geometry[i][1]);
        combination(VMMA_FLAG_PACKED, steps * 20, geometry[i][0], geometry[i][1]);
        combination(VMMA_FLAG_NO_CACHE, steps * 5, geometry[i][0], geometry[i][1]);
    }
    printf("stress: %d combinations of flags\n", turn);
    return vt_end();
}
