/*
 * dead_handle.c: the handle of a deleted client in every function: refused, nothing changes, until its slot goes to
 * a new client. Public API only.
 */
#include "misuse.h"
#include "../every.h"

static void body(scene *s)
{
    enum { N = 30 };
    vmma_client_t *dead[N];
    unsigned char *was[N];
    for (int i = 0; i < N; i++) {
        dead[i] = vmma_create_client(s->c);
        was[i] = (unsigned char *)vmma_alloc(dead[i], 300);
        CHECK(was[i] != NULL, "an allocation of a client that will die");
        vmma_set_limit(dead[i], 1 << 20);
        vmma_set_name(dead[i], "mortal");
    }
    for (int i = 0; i < N; i++)
        CHECK_ST(vmma_delete_client(dead[i]), VMMA_OK, "vmma_delete_client");
    for (int i = 0; i < N; i += 4) {
        scene_before(s);
        every_client_function(dead[i], was[i]);
        every_client_function(dead[i], s->p[0][2]);
        CHECK_EQ(s->e.count, 0, "a dead handle is not told to the error handler");
        errno = VT_ERRNO_MARK;
        scene_after(s);
    }
    /* others allocate all there is, with all contents: the dead stay dead, nothing of theirs turns into memory */
    size_t n = 0;
    while (n < 100000) {
        unsigned char *p = (unsigned char *)vmma_alloc(s->k[n % 2], 200);
        if (!p)
            break;
        memset(p, (int)n, 200);
        n++;
    }
    CHECK(n > 100, "the others took all there is");
    for (int i = 0; i < N; i++) {
        CHECK_ST(vmma_free(dead[i], was[i]), VMMA_E_INVALID, "a dead handle stays detectably dead when the memory is full");
        CHECK_PTR(vmma_find_client(s->c, dead[i]), NULL, "memory that held client slots never becomes client memory");
    }
    CHECK_ST(vmma_check_context(s->c), VMMA_OK, "the records are sound");
    /* slots go to new clients: those handles are theirs, all others stay dead */
    vmma_client_t *fresh[N];
    for (int i = 0; i < N / 2; i++) {
        fresh[i] = vmma_create_client(s->c);
        CHECK(fresh[i] != NULL, "old slots serve new clients, in a full context, too");
    }
    for (int i = 0; i < N; i++) {
        int alive = 0;
        for (int j = 0; j < N / 2; j++)
            alive |= fresh[j] == dead[i];
        if (!alive)
            every_client_function(dead[i], was[i]);
        else
            CHECK_EQ(vmma_test_address(dead[i], was[i]), 0, "a new client in the slot knows nothing of the old memory");
    }
    for (int i = 0; i < N / 2; i++) {
        CHECK(strcmp(vmma_get_name(fresh[i]), "") == 0 && vmma_get_limit(fresh[i]) == 0, "a new client starts afresh");
        CHECK_ST(vmma_free(fresh[i], s->p[0][0]), VMMA_E_NOT_OWNED, "a new client is a stranger to others' memory");
        CHECK_ST(vmma_delete_client(fresh[i]), VMMA_OK, "it goes");
        CHECK_ST(vmma_delete_client(fresh[i]), VMMA_E_INVALID, "a second deletion: INVALID");
    }
    CHECK_EQ(vmma_get_client_count(s->c), 2, "the two of the scene are left");
}

int main(void)
{
    return scene_main("misuse/dead_handle", body);
}
