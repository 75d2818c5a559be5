/*
 * nulls.c: NULL everywhere: as handle, as pointer, as name, visitor, writer, stats. Public API only.
 */
#include "misuse.h"
#include "../every.h"

static void body(scene *s)
{
    scene_before(s);
    every_client_function(NULL, NULL);
    every_client_function(NULL, s->p[0][0]);
    every_client_function(NULL, s->k[0]);
    every_context_function(NULL, NULL);
    every_context_function(NULL, s->p[0][0]);
    CHECK_EQ(s->e.count, 0, "a NULL handle is not told to anybody");
    errno = VT_ERRNO_MARK;
    CHECK_ST(vmma_free(s->k[0], NULL), VMMA_OK, "vmma_free(NULL): OK, does nothing");
    CHECK_EQ(vmma_test_address(s->k[0], NULL), 0, "vmma_test_address(NULL): 0");
    CHECK_EQ(vmma_get_size(s->k[0], NULL), 0, "vmma_get_size(NULL): 0");
    CHECK_PTR(vmma_find_client(s->c, NULL), NULL, "vmma_find_client(NULL): NULL");
    CHECK_PTR(vmma_find_allocation(s->k[0], NULL, NULL), NULL, "vmma_find_allocation(NULL): NULL");
    CHECK_EQ(s->e.count, 0, "NULL as an address is no misuse");
    CHECK_PTR(vmma_lua_alloc(s->k[0], NULL, 100, 0), NULL, "vmma_lua_alloc(NULL, 0): NULL");
    CHECK_EQ(s->e.count, 0, "NULL to lua_alloc is no misuse");
    CHECK_ST(vmma_walk_allocations(s->k[0], NULL, s), VMMA_E_INVALID, "a NULL visitor: INVALID");
    CHECK_ST(vmma_walk_clients(s->c, NULL, s), VMMA_E_INVALID, "a NULL client visitor: INVALID");
    CHECK_ST(vmma_dump(s->c, VMMA_DUMP_JSON, NULL, s), VMMA_E_INVALID, "a NULL writer: INVALID");
    CHECK_ST(vmma_populate_client_stats(s->k[0], NULL), VMMA_E_INVALID, "NULL stats: INVALID");
    CHECK_ST(vmma_populate_context_stats(s->c, NULL), VMMA_E_INVALID, "NULL context stats: INVALID");
    CHECK_EQ(s->e.count, 5, "each of these with a live handle is misuse");
    CHECK_ST(vmma_set_name(s->k[0], NULL), VMMA_OK, "a NULL name: OK");
    CHECK_ST(vmma_set_oom_handler(s->k[0], NULL, s), VMMA_OK, "a NULL handler: OK");
    errno = VT_ERRNO_MARK;
    CHECK(vt_fingerprint(s->c) == s->print, "NULL changes nothing");
    CHECK(scene_contents(s), "contents are intact");
    void *p = vmma_realloc(s->k[0], NULL, 10);
    CHECK(p != NULL, "vmma_realloc(NULL): alloc");
    CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "it is freed");
}

int main(void)
{
    return scene_main("misuse/nulls", body);
}
