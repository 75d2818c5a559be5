/*
 * other_client.c: a free by another client of the same context, by a client of another context, by a client that
 * came into being later. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    for (int i = 0; i < SCENE_N; i++) {
        vt_mode("%s allocation %d", vt_flags_text(s->f), i);
        scene_refuse(s, s->k[1], s->p[0][i], VMMA_E_NOT_OWNED);
        if (i % 4 == 0) {
            scene_refuse(s, s->k[0], s->p[1][i], VMMA_E_NOT_OWNED);
            scene_refuse(s, s->k[1], s->p[0][i] + s->size[0][i] / 2, VMMA_E_NOT_OWNED);
            scene_refuse_realloc(s, s->k[1], s->p[0][i], 10, VMMA_E_NOT_OWNED);
        }
    }
    /* another context, over memory of its own */
    scene other;
    CHECK(scene_open(&other, s->f), "another context");
    for (int i = 0; i < SCENE_N; i += 3) {
        scene_refuse(s, s->k[0], other.p[0][i], VMMA_E_NOT_OWNED);
        scene_refuse_realloc(s, s->k[0], other.p[0][i], 100, VMMA_E_NOT_OWNED);
        CHECK_EQ(vmma_test_address(s->k[0], other.p[0][i]), 0, "memory of another context is not live here");
        CHECK_PTR(vmma_find_client(s->c, other.p[0][i]), NULL, "memory of another context has no owner here");
        CHECK_EQ(vmma_test_address(other.k[0], other.p[0][i]), 1, "it is live there");
    }
    CHECK(scene_contents(&other), "the other context's contents are intact");
    CHECK_ST(vmma_check_context(other.c), VMMA_OK, "the other context is sound");
    /* a context inside an allocation of another context's client: same rules, both ways */
    void *inner_memory = vmma_alloc(other.k[0], 200000);
    CHECK(inner_memory != NULL, "memory for a context inside");
    vmma_context_t *inner = vmma_create_context(inner_memory, 200000, 0, 4096, s->f);
    CHECK(inner != NULL, "a context inside a client's allocation");
    vmma_client_t *in = vmma_create_client(inner);
    unsigned char *p = (unsigned char *)vmma_alloc(in, 100);
    CHECK(p != NULL, "an allocation inside");
    CHECK_ST(vmma_free(other.k[0], p), VMMA_E_NOT_START, "to the outer client it is the middle of an allocation");
    CHECK_ST(vmma_free(in, inner_memory), VMMA_E_NOT_OWNED, "to the inner client the outer allocation is not its own");
    CHECK_EQ(vmma_test_address(in, p), 1, "it is live");
    CHECK_ST(vmma_check_context(inner), VMMA_OK, "the inner context is sound");
    CHECK_ST(vmma_delete_context(inner), VMMA_OK, "the inner context ends");
    CHECK_ST(vmma_free(other.k[0], inner_memory), VMMA_OK, "its memory is freed");
    scene_close(&other);
    /* a client that comes later */
    vmma_client_t *late = vmma_create_client(s->c);
    for (int i = 0; i < SCENE_N; i += 5)
        scene_refuse(s, late, s->p[1][i], VMMA_E_NOT_OWNED);
    CHECK_ST(vmma_delete_client(late), VMMA_OK, "it goes");
}

int main(void)
{
    return scene_main("misuse/other_client", body);
}
