/*
 * undefined_flags.c: flags beyond the defined: not accepted, without effect. Public API only.
 */
#include "misuse.h"

static vmma_flags_t accepted;

static void body(scene *s)
{
    CHECK_EQ(vmma_get_accepted_flags(s->c), accepted, "flags that no version defines are not accepted");
    CHECK_EQ(vmma_get_accepted_flags(s->c) & ~vmma_get_supported_flags(), 0, "accepted flags are supported");
    scene_refuse(s, s->k[0], s->p[0][5] + 16, VMMA_E_NOT_START);
    scene_refuse(s, s->k[0], s->p[1][5], VMMA_E_NOT_OWNED);
}

static void in_mode(vmma_flags_t f)
{
    static const vmma_flags_t beyond[] = {0xfffffc00u, 0x400u, 0x80000000u, 0x55555400u};
    for (unsigned i = 0; i < VT_COUNT(beyond); i++) {
        accepted = f | (f & VMMA_FLAG_SHARED_CLIENTS ? VMMA_FLAG_THREADS : 0);
        scene_in_mode(f | beyond[i]);
        /* the same addresses as without: no effect at all */
        vt_block m = vt_block_open(200000, 8);
        void *p[2][40];
        for (int with = 0; with < 2; with++) {
            vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 0, with ? f | beyond[i] : f);
            vmma_client_t *k = vmma_create_client(c);
            for (int j = 0; j < 40; j++)
                p[with][j] = vmma_alloc(k, (size_t)j * 37);
            CHECK_EQ(vmma_get_required_size(50000, 0, 0, f | beyond[i]), vmma_get_required_size(50000, 0, 0, f), "undefined flags count for nothing");
            vmma_delete_context(c);
        }
        CHECK(memcmp(p[0], p[1], sizeof p[0]) == 0, "undefined flags change no address");
        vt_block_close(&m);
    }
}

int main(void)
{
    vt_begin("misuse/undefined_flags");
    scene_body = body;
    vt_each_mode(in_mode);
    return vt_end();
}
