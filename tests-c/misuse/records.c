/*
 * records.c: the context's own records and handles passed as pointers to free. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    vmma_client_t *many[40];
    for (int i = 0; i < 40; i++)
        many[i] = vmma_create_client(s->c);
    void *const own[] = {s->c, s->k[0], s->k[1], (char *)s->c + 16, (char *)s->k[0] + 16, (char *)s->k[1] - 16, (char *)s->c + 1, (char *)s->k[0] + 64,
                         s->m.memory, (char *)((uintptr_t)(s->m.memory + 15) & ~(uintptr_t)15), many[7], many[39]};
    for (unsigned i = 0; i < VT_COUNT(own); i++) {
        vt_mode("%s record %u", vt_flags_text(s->f), i);
        scene_refuse(s, s->k[0], own[i], VMMA_E_NOT_OWNED);
        scene_refuse_realloc(s, s->k[1], own[i], 10, VMMA_E_NOT_OWNED);
        CHECK_EQ(vmma_test_address(s->k[0], own[i]), 0, "a record is not live memory");
        CHECK_EQ(vmma_get_size(s->k[0], own[i]), 0, "a record has no size");
        CHECK_PTR(vmma_find_client(s->c, own[i]), NULL, "a record has no owner");
        CHECK_PTR(vmma_find_allocation(s->k[0], own[i], NULL), NULL, "a record is in no allocation");
    }
    /* all multiples of 8 in the memory block that lie in nobody's block */
    scene_before(s);
    size_t n = 0;
    uintptr_t first = UINTPTR_MAX, last = 0;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < SCENE_N; i++) {
            uintptr_t p = (uintptr_t)s->p[k][i];
            first = p < first ? p : first;
            last = p + s->size[k][i] > last ? p + s->size[k][i] : last;
        }
    CHECK_ST(vmma_trim_context(s->c), VMMA_OK, "no kept blocks");
    scene_before(s);
    for (uintptr_t at = (uintptr_t)s->m.memory; at < (uintptr_t)s->m.memory + s->m.size; at += 8) {
        if (scene_holds(s, 0, (void *)at))
            continue;
        CHECK_ST(vmma_free(s->k[0], (void *)at), VMMA_E_NOT_OWNED, "every address outside the client's blocks: NOT_OWNED");
        n++;
    }
    CHECK(n > 1000, "many addresses of records, free blocks and others' blocks");
    errno = VT_ERRNO_MARK;
    scene_after(s);
    for (int i = 0; i < 40; i++)
        vmma_delete_client(many[i]);
    for (int i = 0; i < 40; i += 7)
        scene_refuse(s, s->k[0], many[i], VMMA_E_NOT_OWNED);
}

int main(void)
{
    return scene_main("misuse/records", body);
}
