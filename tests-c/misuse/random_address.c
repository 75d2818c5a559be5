/*
 * random_address.c: random 64-bit addresses, uniform, near the memory block and near live allocations: the exact
 * status from public knowledge, nothing changes. Public API only.
 */
#include "misuse.h"

static void body(scene *s)
{
    vt_random r = {s->f + 99};
    long loops = vt_loops(60000, 6000);
    CHECK_ST(vmma_trim_context(s->c), VMMA_OK, "no kept blocks");
    scene_before(s);
    for (long n = 0; n < loops; n++) {
        uintptr_t a = (uintptr_t)vt_next(&r);
        int i = (int)vt_below(&r, SCENE_N), k = (int)vt_below(&r, 2);
        switch (n % 5) {
        case 1:
            a = (uintptr_t)s->m.memory - 100000 + a % (s->m.size + 200000);
            break;
        case 2:
            a = (uintptr_t)s->p[k][i] + a % 70000 - 35000;
            break;
        case 3:
            a = (uintptr_t)s->p[k][i] ^ ((uintptr_t)1 << vt_below(&r, 64));
            break;
        case 4:
            a = (a & 1) ? a >> vt_below(&r, 64) : (uintptr_t)(s->m.memory + (a >> 8) % s->m.size) & ~(uintptr_t)15;
            break;
        default:
            break;
        }
        int start = 0, inside = 0, red = 0;
        for (int j = 0; j < SCENE_N; j++) {
            uintptr_t p = (uintptr_t)s->p[0][j];
            start |= a == p;
            inside |= a >= p && a < p + s->size[0][j];
            red |= a >= p + s->size[0][j] && a < p + s->size[0][j] + 8;
        }
        CHECK_EQ(vmma_test_address(s->k[0], (void *)a), inside, "vmma_test_address of a random address");
        CHECK_EQ(vmma_get_size(s->k[0], (void *)a) != 0, start, "vmma_get_size of a random address");
        CHECK_EQ(vmma_find_allocation(s->k[0], (void *)a, NULL) != NULL, inside, "vmma_find_allocation of a random address");
        CHECK_EQ(vmma_find_client(s->c, (void *)a) == s->k[0], inside, "vmma_find_client of a random address");
        if (start || a == 0)
            continue;
        int guard = (s->f & VMMA_FLAG_GUARD) != 0;
        int want = !scene_holds(s, 0, (void *)a) ? VMMA_E_NOT_OWNED
                   : inside || (guard && red) || a % 16  ? VMMA_E_NOT_START
                                                         : VMMA_E_DOUBLE_FREE;
        int got = vmma_free(s->k[0], (void *)a);
        if (guard && want == VMMA_E_DOUBLE_FREE && got == VMMA_E_NOT_START)
            want = got;   /* a red zone may be longer than 8 bytes */
        if (got != want)
            vt_mode("%s address %p", vt_flags_text(s->f), (void *)a);
        CHECK_ST(got, want, "vmma_free of a random address: the exact status");
    }
    errno = VT_ERRNO_MARK;
    scene_after(s);
}

int main(void)
{
    return scene_main("misuse/random_address", body);
}
