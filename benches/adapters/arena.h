/* arena.h - equal memory regions for allocators that live inside a given block: taken, given back, reused.
 * Like libvmma's context they keep their pages, so a second pass meets no page faults. Knows no allocator. */
#ifndef ARENA_H
#define ARENA_H
#include <stddef.h>
#include <sys/mman.h>

static size_t arena_size;
static void *arena_free[4096];
static int arena_count;

static void *arena_take(void)
{
    if (arena_count)
        return arena_free[--arena_count];
    void *p = mmap(NULL, arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void arena_give(void *p)
{
    if (arena_count < 4096)
        arena_free[arena_count++] = p;
}
#endif
