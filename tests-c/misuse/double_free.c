/*
 * double_free.c: a second free: at once, after other operations, after the cell was cached, flushed, its slab
 * emptied, its block given back and taken by another client. Public API only.
 */
#include "misuse.h"

static void at_once(scene *s)
{
    for (int i = 0; i < 24; i++) {
        unsigned char *p = scene_take(s, 0, i);
        CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "the first free");
        int held = scene_holds(s, 0, p);
        if (held) {
            scene_refuse(s, s->k[0], p, VMMA_E_DOUBLE_FREE);
            scene_refuse(s, s->k[0], p, VMMA_E_DOUBLE_FREE);
            scene_refuse_realloc(s, s->k[0], p, 50, VMMA_E_DOUBLE_FREE);
        } else {
            /* its block may be kept, or given back */
            scene_before(s);
            int got = vmma_free(s->k[0], p);
            CHECK(got == VMMA_E_DOUBLE_FREE || got == VMMA_E_NOT_OWNED, "a second free of what was alone in its block: DOUBLE_FREE if kept, NOT_OWNED if given back");
            scene_after(s);
            if ((s->f & VMMA_FLAG_NO_CACHE) && !(s->f & VMMA_FLAG_QUARANTINE))
                CHECK_ST(got, VMMA_E_NOT_OWNED, "with NO_CACHE the block is given back at once: NOT_OWNED");
        }
        scene_refuse(s, s->k[1], p, VMMA_E_NOT_OWNED);
    }
}

static void after_operations(scene *s)
{
    vt_random r = {1};
    for (int i = 24; i < 40; i++) {
        unsigned char *p = scene_take(s, 0, i), *other[40];
        size_t n = scene_sizes[(unsigned)i % VT_COUNT(scene_sizes)];
        CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "the first free");
        /* other sizes only, so that the cell itself stays free */
        for (int j = 0; j < 40; j++)
            other[j] = (unsigned char *)vmma_alloc(s->k[1], vt_log_size(&r, 1, 3000));
        for (int j = 0; j < 40; j += 2)
            vmma_free(s->k[1], other[j]);
        CHECK_EQ(vmma_test_address(s->k[0], p), 0, "what was freed is not live");
        if (scene_holds(s, 0, p))
            scene_refuse(s, s->k[0], p, VMMA_E_DOUBLE_FREE);
        for (int j = 1; j < 40; j += 2)
            vmma_free(s->k[1], other[j]);
        /* the same cell handed out again: the free is then a good one, the next is not */
        unsigned char *q = (unsigned char *)vmma_alloc(s->k[0], n);
        if (q == p) {
            CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "a cell handed out again is live again");
            if (scene_holds(s, 0, p))
                scene_refuse(s, s->k[0], p, VMMA_E_DOUBLE_FREE);
        } else {
            /* with PACKED it may begin before the cell and reach over it, with GUARD its red zone may */
            int inside = vmma_find_allocation(s->k[0], p, NULL) == q;
            if (scene_holds(s, 0, p) && (inside || p < q || p >= q + n + 4096 || !(s->f & VMMA_FLAG_GUARD)))
                scene_refuse(s, s->k[0], p, inside ? VMMA_E_NOT_START : VMMA_E_DOUBLE_FREE);
            CHECK_ST(vmma_free(s->k[0], q), VMMA_OK, "what was handed out instead is freed");
        }
    }
}

/* many of one size, so that caches fill and flush and slabs empty */
static void cached_and_flushed(scene *s)
{
    static const size_t sizes[] = {16, 48, 64, 128, 500, 1024, 2048, 4096};
    for (unsigned z = 0; z < VT_COUNT(sizes); z++) {
        enum { N = 150 };
        unsigned char *p[N], *anchor[N];
        size_t n = 0;
        /* an anchor in each block keeps the block in the client's hands */
        for (; n < N; n++) {
            p[n] = (unsigned char *)vmma_alloc(s->k[0], sizes[z]);
            anchor[n] = (unsigned char *)vmma_alloc(s->k[0], 16);
            if (!p[n] || !anchor[n])
                break;
        }
        if (n < N) {
            CHECK_ST(vmma_free(s->k[0], p[n]), VMMA_OK, "what was left without its anchor is freed");
            CHECK_ST(vmma_free(s->k[0], anchor[n]), VMMA_OK, "an anchor without its piece is freed");
        }
        for (size_t i = 0; i < n; i++)
            CHECK_ST(vmma_free(s->k[0], p[i]), VMMA_OK, "the first free of many");
        for (int flushed = 0; flushed < 2; flushed++) {
            for (size_t i = 0; i < n; i += 13) {
                int held = scene_holds(s, 0, p[i]);
                for (size_t j = 0; j < n && !held; j++)
                    held = (uintptr_t)anchor[j] / s->bs == (uintptr_t)p[i] / s->bs;
                int got = vmma_free(s->k[0], p[i]);
                if (held)
                    CHECK_ST(got, VMMA_E_DOUBLE_FREE, "a second free after the cell was cached, or flushed and its slab emptied: DOUBLE_FREE");
                else
                    CHECK(got == VMMA_E_DOUBLE_FREE || (got == VMMA_E_NOT_OWNED), "a second free after its block was emptied: DOUBLE_FREE or NOT_OWNED");
                if (flushed && !held)
                    CHECK_ST(got, VMMA_E_NOT_OWNED, "a second free after trim gave the block back: NOT_OWNED");
            }
            size_t i = n / 2;
            if (scene_holds(s, 0, p[i]))
                scene_refuse(s, s->k[0], p[i], VMMA_E_DOUBLE_FREE);
            CHECK_ST(vmma_trim_client(s->k[0]), VMMA_OK, "vmma_trim_client flushes");
        }
        for (size_t i = 0; i < n; i++)
            CHECK_ST(vmma_free(s->k[0], anchor[i]), VMMA_OK, "an anchor is freed");
    }
}

/* the block goes back and another client takes it: the old owner is a stranger there */
static void block_taken(scene *s)
{
    unsigned char *gone[60], *theirs[400];
    size_t n = 0;
    vmma_client_t *k = vmma_create_client(s->c), *thief = vmma_create_client(s->c);
    for (int i = 0; i < 60; i++) {
        gone[i] = (unsigned char *)vmma_alloc(k, 700);
        CHECK(gone[i] != NULL, "allocations to lose");
    }
    for (int i = 0; i < 60; i++)
        CHECK_ST(vmma_free(k, gone[i]), VMMA_OK, "the first free");
    CHECK_ST(vmma_trim_client(k), VMMA_OK, "the blocks go back");
    CHECK_EQ(vmma_get_held_size(k), 0, "all of them");
    for (int i = 0; i < 60; i += 7)
        scene_refuse(s, k, gone[i], VMMA_E_NOT_OWNED);
    while (n < 400 && (theirs[n] = (unsigned char *)vmma_alloc(thief, 700)) != NULL) {
        memset(theirs[n], 0x66, 700);
        n++;
    }
    int met = 0;
    for (int i = 0; i < 60; i++) {
        met += vmma_find_client(s->c, gone[i]) == thief;
        if (i % 7 == 0)
            scene_refuse(s, k, gone[i], VMMA_E_NOT_OWNED);
        else
            CHECK_ST(vmma_free(k, gone[i]), VMMA_E_NOT_OWNED, "a second free after another client took the block: NOT_OWNED");
    }
    CHECK(met > 0, "the other client did take such a block");
    for (size_t i = 0; i < n; i++)
        CHECK(theirs[i][0] == 0x66 && theirs[i][699] == 0x66 && vmma_test_address(thief, theirs[i]) == 1, "the other client keeps what it has");
    vmma_delete_client(thief);
    for (int i = 0; i < 60; i += 9)
        scene_refuse(s, k, gone[i], VMMA_E_NOT_OWNED);
    vmma_delete_client(k);
}

/* runs of blocks */
static void runs(scene *s)
{
    for (size_t blocks = 2; blocks < 8; blocks += 2) {
        unsigned char *p = (unsigned char *)vmma_alloc(s->k[0], blocks * s->bs - 600);
        CHECK(p != NULL, "a run");
        CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "the first free of a run");
        scene_before(s);
        int got = vmma_free(s->k[0], p);
        CHECK(got == VMMA_E_DOUBLE_FREE || got == VMMA_E_NOT_OWNED, "a second free of a run: DOUBLE_FREE if kept, NOT_OWNED if given back");
        scene_after(s);
        CHECK_ST(vmma_trim_client(s->k[0]), VMMA_OK, "vmma_trim_client");
        scene_refuse(s, s->k[0], p, VMMA_E_NOT_OWNED);
    }
}

static void body(scene *s)
{
    at_once(s);
    after_operations(s);
    cached_and_flushed(s);
    block_taken(s);
    runs(s);
}

int main(void)
{
    return scene_main("misuse/double_free", body);
}
