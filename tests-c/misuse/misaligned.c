/*
 * misaligned.c: frees in the client's blocks at addresses that are no multiple of the alignment: live, freed and
 * never handed out. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    for (int i = 1; i < SCENE_N; i += 6) {
        unsigned char *p = scene_take(s, 0, i);
        size_t size = s->size[0][i];
        CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "a free");
        if (!scene_holds(s, 0, p))
            continue;
        for (size_t d = 1; d < 16 && d < size; d += 2) {
            vt_mode("%s freed, size %zu, at %zu", vt_flags_text(s->f), size, d);
            if (d < 6)
                scene_refuse(s, s->k[0], p + d, VMMA_E_NOT_START);
            else
                CHECK_ST(vmma_free(s->k[0], p + d), VMMA_E_NOT_START, "misaligned in freed memory of its blocks: NOT_START");
        }
    }
    /* every byte of a block that has something live in it */
    for (int i = 0; i < SCENE_N; i += 11) {
        if (!s->p[0][i])
            continue;
        unsigned char *block = (unsigned char *)((uintptr_t)s->p[0][i] & ~(uintptr_t)(s->bs - 1));
        for (size_t at = 0; at < s->bs; at++) {
            unsigned char *q = block + at;
            if (vt_aligned(q, 16))
                continue;
            CHECK_ST(vmma_free(s->k[0], q), VMMA_E_NOT_START, "misaligned anywhere in its blocks: NOT_START");
            CHECK_ST(vmma_free(s->k[1], q), VMMA_E_NOT_OWNED, "misaligned in another client's block: NOT_OWNED");
        }
        unsigned char *q = block + 1;
        scene_refuse(s, s->k[0], q, VMMA_E_NOT_START);
        scene_refuse_realloc(s, s->k[0], q + 2, 10, VMMA_E_NOT_START);
        scene_refuse(s, s->k[1], q, VMMA_E_NOT_OWNED);
    }
}

int main(void)
{
    return scene_main("misuse/misaligned", body);
}
