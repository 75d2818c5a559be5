/*
 * sizes.c: requests around every boundary and near SIZE_MAX, by every allocating function: what fails changes
 * nothing. Public API only.
 */
#include "misuse.h"

static void fails(scene *s, size_t n, size_t alignment)
{
    vmma_client_t *k = s->k[0];
    uint64_t print = s->print;
    CHECK(vmma_alloc(k, n) == NULL, "vmma_alloc of an impossible size fails");
    CHECK(vmma_calloc(k, 1, n) == NULL && vmma_calloc(k, n, 1) == NULL && vmma_calloc(k, n, n) == NULL, "vmma_calloc of an impossible size fails");
    CHECK(vmma_realloc(k, NULL, n) == NULL, "vmma_realloc(NULL) of an impossible size fails");
    CHECK(vmma_aligned_alloc(k, alignment, n) == NULL, "vmma_aligned_alloc of an impossible size fails");
    CHECK(vmma_lua_alloc(k, NULL, 5, n) == NULL, "vmma_lua_alloc of an impossible size fails");
    for (int i = 0; i < SCENE_N; i += 9) {
        errno = 0;
        CHECK(vmma_realloc(k, s->p[0][i], n) == NULL, "vmma_realloc to an impossible size fails");
        CHECK_EQ(errno, ENOMEM, "impossible sizes: ENOMEM");
        CHECK(vmma_lua_alloc(k, s->p[0][i], s->size[0][i], n) == NULL, "vmma_lua_alloc to an impossible size fails");
    }
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NO_MEMORY, "impossible sizes: NO_MEMORY");
    CHECK_EQ(vmma_get_good_size(s->c, n), 0, "impossible sizes: no good size");
    CHECK(vt_fingerprint(s->c) == print, "a request that no context of this size could serve changes nothing");
}

static void body(scene *s)
{
    scene_before(s);
    for (size_t d = 0; d < 20; d++) {
        vt_mode("%s huge sizes, step %zu", vt_flags_text(s->f), d);
        fails(s, SIZE_MAX - d, 16);
        fails(s, SIZE_MAX - d * s->bs, 64);
        fails(s, SIZE_MAX / 2 - d * 16, 1);
        fails(s, SIZE_MAX / 2 + 1 + d, s->bs);
        fails(s, ((size_t)1 << 47) - d, 8);
        fails(s, ((size_t)1 << 32) - d, 8);
        fails(s, ((size_t)1 << 32) + d, 8);
        fails(s, s->m.size + d, 8);
    }
    CHECK_EQ(s->e.count, 0, "impossible sizes are no misuse");
    CHECK(scene_contents(s), "contents are intact");
    /* around every boundary: it works or fails cleanly, and is freed */
    size_t max = vmma_get_total_blocks(s->c) * s->bs + 20;
    for (size_t p2 = 1; p2 <= max; p2 *= 2)
        for (int d = -9; d <= 9; d++) {
            size_t n = p2 + (size_t)d;
            if (n > max)
                continue;
            vt_mode("%s size %zu", vt_flags_text(s->f), n);
            errno = 0;
            unsigned char *p = (unsigned char *)vmma_alloc(s->k[0], n);
            if (!p) {
                CHECK_EQ(errno, ENOMEM, "a failure: ENOMEM");
                continue;
            }
            size_t real = vmma_get_size(s->k[0], p);
            vt_fill(p, real, 3);
            CHECK_EQ(vmma_test_address(s->k[0], p + real - 1), 1, "the last byte is live");
            CHECK(vt_filled(p, real, 3), "all of it can be used");
            CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "it is freed without complaint");
        }
    for (size_t n = vmma_get_max_alloc(s->k[0]) - 3, i = 0; i < 6; i++) {
        void *p = vmma_alloc(s->k[0], n + i);
        CHECK_EQ(p != NULL, i <= 3, "around vmma_get_max_alloc");
        CHECK_ST(vmma_free(s->k[0], p), VMMA_OK, "it is freed");
    }
    CHECK(scene_contents(s), "contents are intact at the end");
}

int main(void)
{
    return scene_main("misuse/sizes", body);
}
