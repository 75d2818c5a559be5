/*
 * everywhere.c: vmma_free of every address of a small context, byte by byte, against an oracle made of public
 * knowledge: what is live, whose blocks these are. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    /* holes: free a third, so that live, freed and never handed out lie side by side */
    for (int k = 0; k < 2; k++)
        for (int i = k; i < SCENE_N; i += 3)
            CHECK_ST(vmma_free(s->k[k], scene_take(s, k, i)), VMMA_OK, "a hole");
    CHECK_ST(vmma_trim_context(s->c), VMMA_OK, "no kept blocks");
    size_t held = 0, blocks = s->m.size / s->bs + 2, live = 0;
    unsigned char *first_block = (unsigned char *)((uintptr_t)s->m.memory & ~(uintptr_t)(s->bs - 1));
    for (size_t b = 0; b < blocks; b++)
        held += (size_t)scene_holds(s, 0, first_block + b * s->bs);
    CHECK_EQ(vmma_get_held_size(s->k[0]), held * s->bs, "after trim every held block has something live in it");
    unsigned char *kind = (unsigned char *)calloc(s->m.size + 1, 1);   /* 1 start, 2 inside, 3 red zone */
    if (!kind)
        exit(2);
    for (int i = 0; i < SCENE_N; i++)
        if (s->p[0][i]) {
            size_t at = (size_t)(s->p[0][i] - s->m.memory);
            memset(kind + at, 2, s->size[0][i]);
            if (s->f & VMMA_FLAG_GUARD)
                memset(kind + at + s->size[0][i], 3, 8);
            kind[at] = 1;
            live++;
        }
    uintptr_t asked_block = UINTPTR_MAX;
    int mine = 0;
    size_t step = (size_t)vt_loops(1, 7);
    scene_before(s);
    for (size_t at = 0; at < s->m.size; at += step) {
        unsigned char *q = s->m.memory + at;
        if ((uintptr_t)q / s->bs != asked_block) {
            asked_block = (uintptr_t)q / s->bs;
            mine = scene_holds(s, 0, q);
        }
        CHECK_EQ(vmma_test_address(s->k[0], q), kind[at] == 1 || kind[at] == 2, "vmma_test_address of every address");
        if (kind[at] == 1)
            continue;
        CHECK_EQ(vmma_get_size(s->k[0], q), 0, "vmma_get_size of every address that is no start");
        int want = !mine ? VMMA_E_NOT_OWNED : kind[at] || !vt_aligned(q, 16) ? VMMA_E_NOT_START : VMMA_E_DOUBLE_FREE;
        int got = vmma_free(s->k[0], q);
        /* a red zone may be longer than 8 bytes */
        if (got == VMMA_E_NOT_START && want == VMMA_E_DOUBLE_FREE && (s->f & VMMA_FLAG_GUARD))
            want = got;
        if (got != want)
            vt_mode("%s offset %zu kind %d", vt_flags_text(s->f), at, kind[at]);
        CHECK_ST(got, want, "vmma_free of every address: the exact status");
    }
    errno = VT_ERRNO_MARK;
    scene_after(s);
    CHECK_EQ(vt_client_stats(s->k[0]).live_count, live, "everything live is still live");
    free(kind);
}

int main(void)
{
    return scene_main("misuse/everywhere", body);
}
