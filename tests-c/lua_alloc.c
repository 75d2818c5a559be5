/*
 * lua_alloc.c: vmma_lua_alloc as a lua_Alloc: nsize 0 frees, NULL allocates whatever osize says, a shrink never
 * fails, a failure leaves the block. A small imitation of a Lua heap drives it. Public API only.
 */
#include "vt_ctx.h"

typedef void *(*lua_Alloc)(void *ud, void *ptr, size_t osize, size_t nsize);

static void rules(vmma_flags_t f)
{
    lua_Alloc alloc = vmma_lua_alloc;
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 8, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    CHECK(alloc(k, NULL, 0, 0) == NULL, "lua_alloc: NULL and nsize 0 give NULL");
    CHECK_EQ(vt_client_stats(k).live_count, 0, "lua_alloc: NULL and nsize 0 allocate nothing");
    for (size_t kind = 0; kind < 12; kind++) {
        unsigned char *p = (unsigned char *)alloc(k, NULL, kind, 40);
        CHECK(p != NULL, "lua_alloc: NULL allocates, osize is then a kind of object");
        vt_fill(p, 40, 1);
        CHECK(vmma_get_size(k, p) >= 40, "lua_alloc: as large as asked");
        p = (unsigned char *)alloc(k, p, 40, 4000);
        NEED(p != NULL, "lua_alloc: growth");
        CHECK(vt_filled(p, 40, 1), "lua_alloc: growth keeps contents");
        p = (unsigned char *)alloc(k, p, 4000, 20);
        NEED(p != NULL, "lua_alloc: shrink");
        CHECK(vt_filled(p, 20, 1), "lua_alloc: shrink keeps contents");
        CHECK(alloc(k, p, 20, 0) == NULL, "lua_alloc: nsize 0 gives NULL");
        CHECK_EQ(vmma_test_address(k, p), 0, "lua_alloc: nsize 0 frees");
    }
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "lua_alloc: no failure so far");
    /* a wrong osize does no harm: the library knows the size */
    unsigned char *p = (unsigned char *)alloc(k, NULL, 0, 100);
    vt_fill(p, 100, 2);
    p = (unsigned char *)alloc(k, p, 5, 3000);
    CHECK(p && vt_filled(p, 5, 2), "lua_alloc: a wrong osize does no harm");
    unsigned char *q = (unsigned char *)alloc(k, p, 999999, 50);
    CHECK(q != NULL, "lua_alloc: a wrong osize does no harm in a shrink");
    /* a full client: growth fails and leaves the block, shrinks go on */
    static unsigned char *all[20000];
    size_t n = 0;
    while (n < VT_COUNT(all) && (all[n] = (unsigned char *)alloc(k, NULL, 0, 300)) != NULL)
        vt_fill(all[n], 300, (uint32_t)n), n++;
    while (alloc(k, NULL, 0, 16))
        ;
    CHECK(n > 100, "the client is full");
    for (size_t i = 0; i < n; i++) {
        if (i % 5 == 0) {
            errno = 0;
            CHECK(alloc(k, all[i], 300, 40000) == NULL, "lua_alloc: growth of a full client fails");
            CHECK_EQ(errno, ENOMEM, "lua_alloc: ENOMEM");
            CHECK(vmma_test_address(k, all[i]) == 1 && vt_filled(all[i], 300, (uint32_t)i), "lua_alloc: a failure leaves the block as it was");
            if (i >= 50)
                break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t to = 1 + i * 7 % 299;
        unsigned char *s = (unsigned char *)alloc(k, all[i], 300, to);
        CHECK(s != NULL, "lua_alloc: a shrink never fails, also in a full client");
        if (!s)
            continue;
        CHECK(vt_filled(s, to, (uint32_t)i), "lua_alloc: a shrink keeps contents");
        CHECK(alloc(k, s, to, 0) == NULL, "lua_alloc: nsize 0 gives NULL");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context");
    /* misuse is refused as everywhere */
    int local = 0;
    errno = 0;
    CHECK(alloc(k, &local, 4, 100) == NULL && errno == EINVAL, "lua_alloc: a wild block is refused with EINVAL");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_OWNED, "lua_alloc: a wild block: NOT_OWNED");
    CHECK(alloc(k, &local, 4, 0) == NULL, "lua_alloc: freeing a wild block gives NULL");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_OWNED, "lua_alloc: freeing a wild block: NOT_OWNED");
    CHECK(alloc(NULL, NULL, 0, 10) == NULL, "lua_alloc: a NULL client gives NULL");
    vmma_delete_context(c);
}

/* tables that double, strings of all sizes, a sweep now and then, the end without close */
static void heap(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 8 << 20, 8, 65536, f);
    size_t fresh = vmma_get_free_blocks(c);
    for (int life = 0; life < (int)vt_loops(6, 2); life++) {
        vmma_client_t *k = vmma_create_client(c);
        static struct {
            unsigned char *p;
            size_t size;
        } o[3000];
        vt_random r = {(uint64_t)life + f};
        memset(o, 0, sizeof o);
        vmma_set_limit(k, 3 << 20);
        size_t total = 0, failures = 0;
        for (long step = 0; step < vt_loops(60000, 4000); step++) {
            size_t i = vt_below(&r, VT_COUNT(o)), n;
            if (!o[i].p)
                n = vt_log_size(&r, 16, 400);
            else if (vt_below(&r, 3) == 0)
                n = o[i].size < 60000 ? o[i].size * 2 : 16;
            else
                n = 0;
            if (o[i].p)
                CHECK(o[i].p[0] == (unsigned char)i && o[i].p[o[i].size - 1] == (unsigned char)(i + 1), "lua_alloc: contents stay");
            unsigned char *p = (unsigned char *)vmma_lua_alloc(k, o[i].p, o[i].p ? o[i].size : i % 8, n);
            if (n && !p) {
                failures++;
                continue;
            }
            total += n - (o[i].p ? o[i].size : 0);
            o[i].p = p;
            o[i].size = n;
            if (p) {
                p[n - 1] = (unsigned char)(i + 1);
                p[0] = (unsigned char)i;
                if (n == 1)
                    o[i].size = 1;
            }
        }
        CHECK(vt_client_stats(k).live_size >= total, "lua_alloc: the count of bytes agrees");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context of a Lua heap");
        CHECK_ST(vmma_delete_client(k), VMMA_OK, "a heap ends without lua_close");
        CHECK_EQ(vmma_get_free_blocks(c), fresh, "all blocks are free again");
        (void)failures;
    }
    vmma_delete_context(c);
}

int main(void)
{
    vt_begin("lua_alloc");
    vt_each_mode(rules);
    vt_each_mode(heap);
    return vt_end();
}
