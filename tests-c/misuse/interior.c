/*
 * interior.c: frees inside a live allocation, aligned and not, and of red zones. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < SCENE_N; i++) {
            const size_t size = s->size[k][i];
            const size_t at[] = {1, 2, 7, 8, 15, 16, 17, 32, 64, size / 2, size / 2 / 16 * 16, size - 1, size - 16, size - 8, 1024, 4096, 8192, 16384};
            for (unsigned j = 0; j < VT_COUNT(at); j++) {
                if (at[j] == 0 || at[j] >= size)
                    continue;
                unsigned char *q = s->p[k][i] + at[j];
                vt_mode("%s size %zu at %zu", vt_flags_text(s->f), size, at[j]);
                if (j % 5 == (unsigned)i % 5 && (vt_loops(1, 0) || i % 6 == 0)) {
                    scene_refuse(s, s->k[k], q, VMMA_E_NOT_START);
                    CHECK_PTR(s->e.last.allocation, s->p[k][i], "NOT_START: the handler is told the live allocation concerned");
                    CHECK_EQ(s->e.last.size, size, "NOT_START: and its size");
                } else {
                    CHECK_ST(vmma_free(s->k[k], q), VMMA_E_NOT_START, "a free inside a live allocation: NOT_START");
                }
                CHECK_EQ(vmma_get_size(s->k[k], q), 0, "vmma_get_size inside: 0");
                CHECK_EQ(vmma_test_address(s->k[k], q), 1, "vmma_test_address inside: 1");
            }
            if (size > 16)
                scene_refuse_realloc(s, s->k[k], s->p[k][i] + 16, size, VMMA_E_NOT_START);
            if (s->f & VMMA_FLAG_GUARD)
                for (size_t r = 0; r < 8; r++)
                    CHECK_ST(vmma_free(s->k[k], s->p[k][i] + size + r), VMMA_E_NOT_START, "a free of a red zone: NOT_START");
        }
}

int main(void)
{
    return scene_main("misuse/interior", body);
}
