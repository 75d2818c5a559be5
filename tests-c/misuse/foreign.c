/*
 * foreign.c: frees of what never came from the library: the stack, globals, malloc, code, mappings, just outside
 * the memory block, small and huge numbers. Public API only.
 */
#include "misuse.h"

static char global[64];
static const char constant[] = "constant";

static void body(scene *s)
{
    char local[64];
    int file = 5;
    char *heap = (char *)malloc(100);
    void *map = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const strangers[] = {
        local, local + 16, &file, global, (void *)(uintptr_t)constant, heap, heap + 16, map, (char *)map + 4096,
        (void *)(uintptr_t)&vmma_free, (void *)(uintptr_t)&body, s, s->snapshot,
        s->m.memory - 1, s->m.memory - 16, s->m.memory + s->m.size, s->m.memory + s->m.size + 16, s->m.map, s->m.map + s->m.map_size - 16,
        (void *)1, (void *)8, (void *)16, (void *)4096, (void *)65536, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX - 15), (void *)(UINTPTR_MAX / 2),
        (void *)(UINTPTR_MAX / 2 + 1), (void *)((uintptr_t)1 << 47), (void *)(((uintptr_t)1 << 47) - 16), (void *)((uintptr_t)0xdeadbeef),
        (void *)((uintptr_t)s->p[0][3] ^ ((uintptr_t)1 << 40)), (void *)((uintptr_t)s->p[0][3] + ((uintptr_t)1 << 32)),
        (void *)((uintptr_t)s->p[0][3] - ((uintptr_t)1 << 32)), (void *)((uintptr_t)s->p[0][3] | ((uintptr_t)0xff << 56))};
    for (unsigned i = 0; i < VT_COUNT(strangers); i++) {
        vt_mode("%s stranger %u %p", vt_flags_text(s->f), i, strangers[i]);
        scene_refuse(s, s->k[i % 2], strangers[i], VMMA_E_NOT_OWNED);
        scene_refuse_realloc(s, s->k[i % 2], strangers[i], 100, VMMA_E_NOT_OWNED);
        CHECK_EQ(vmma_test_address(s->k[0], strangers[i]), 0, "a stranger is not live");
        CHECK_EQ(vmma_get_size(s->k[0], strangers[i]), 0, "a stranger has no size");
        CHECK_PTR(vmma_find_client(s->c, strangers[i]), NULL, "a stranger has no owner");
        CHECK_PTR(vmma_find_allocation(s->k[0], strangers[i], NULL), NULL, "a stranger is in no allocation");
    }
    free(heap);
    munmap(map, 8192);
}

int main(void)
{
    return scene_main("misuse/foreign", body);
}
