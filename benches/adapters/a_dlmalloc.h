/* adapter: dlmalloc 2.8.6, an mspace in a given block (no growth: it is compiled without mmap and morecore).
 * Compiled with alignment 16, and once more with 8 for programs that need no more. Deleting only drops the block. */
#include "arena.h"
#define A_NAME "dlmalloc mspace"
#define A_IN_BLOCK 1
#define A_DELETE 1
#define A_DROP 1
#define A_FIT_CLIENTS 0
void *create_mspace_with_base(void *base, size_t capacity, int locked);
void *mspace_malloc(void *msp, size_t bytes);
void *mspace_calloc(void *msp, size_t n, size_t size);
void *mspace_memalign(void *msp, size_t alignment, size_t bytes);
void *mspace_realloc(void *msp, void *mem, size_t bytes);
void mspace_free(void *msp, void *mem);
size_t destroy_mspace(void *msp);

static void *fit_heap;
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    (void)variant; (void)l2align;
    arena_size = reserve;
    return NULL;
}
static void *a_open(void) { void *m = arena_take(); return m ? create_mspace_with_base(m, arena_size, 0) : NULL; }
/* the mspace's own record is the first chunk of its page-aligned block */
static void a_close(void *h) { destroy_mspace(h); arena_give((void *)((uintptr_t)h & ~(uintptr_t)4095)); }
static inline void *a_alloc(void *h, size_t n) { return mspace_malloc(h, n); }
static inline void *a_calloc(void *h, size_t n) { return mspace_calloc(h, 1, n); }
static inline void *a_aligned(void *h, size_t al, size_t n) { return mspace_memalign(h, al, n); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)o; return mspace_realloc(h, p, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)o; mspace_free(h, p); }
static int a_fit_begin(void *memory, size_t size, size_t block)
{
    (void)block;
    fit_heap = create_mspace_with_base(memory, size, 0);
    return fit_heap != NULL;
}
static size_t a_fit_held(void) { return 0; }
