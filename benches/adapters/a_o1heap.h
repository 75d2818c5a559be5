/* adapter: o1heap, alignment 32, no realloc of its own: a realloc is alloc, copy, free. Deleting only drops the block. */
#include "arena.h"
#define A_NAME "o1heap"
#define A_IN_BLOCK 1
#define A_DELETE 1
#define A_DROP 1
#define A_FIT_CLIENTS 0
void *o1heapInit(void *base, size_t size);
void *o1heapAllocate(void *handle, size_t amount);
void o1heapFree(void *handle, void *pointer);

static void *fit_heap;
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    (void)variant; (void)l2align;
    arena_size = reserve;
    return NULL;
}
static void *a_open(void) { void *m = arena_take(); return m ? o1heapInit(m, arena_size) : NULL; }
static void a_close(void *h) { arena_give(h); }
static inline void *a_alloc(void *h, size_t n) { return o1heapAllocate(h, n ? n : 1); }
static inline void *a_calloc(void *h, size_t n) { void *p = a_alloc(h, n); return p ? memset(p, 0, n) : p; }
static inline void *a_aligned(void *h, size_t al, size_t n) { return al <= 32 ? a_alloc(h, n) : NULL; }
static inline void a_free(void *h, void *p, size_t o) { (void)o; o1heapFree(h, p); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n)
{
    void *q = a_alloc(h, n);
    if (!q)
        return NULL;
    memcpy(q, p, o < n ? o : n);
    o1heapFree(h, p);
    return q;
}
static int a_fit_begin(void *memory, size_t size, size_t block)
{
    (void)block;
    fit_heap = o1heapInit(memory, size);
    return fit_heap != NULL;
}
static size_t a_fit_held(void) { return 0; }
