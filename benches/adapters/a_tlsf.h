/* adapter: TLSF 3.1, alignment 8 (its only one). Deleting a heap only drops its block. */
#include "arena.h"
#define A_NAME "TLSF"
#define A_IN_BLOCK 1
#define A_DELETE 1
#define A_DROP 1
#define A_FIT_CLIENTS 0
void *lv_tlsf_create_with_pool(void *mem, size_t bytes);
void *lv_tlsf_malloc(void *tlsf, size_t bytes);
void *lv_tlsf_memalign(void *tlsf, size_t align, size_t bytes);
void *lv_tlsf_realloc(void *tlsf, void *ptr, size_t size);
size_t lv_tlsf_free(void *tlsf, const void *ptr);
size_t lv_tlsf_size(void);
/* the copy that we compile takes its copying from outside */
void *lv_memcpy(void *d, const void *s, size_t n);
void *lv_memcpy(void *d, const void *s, size_t n) { return memcpy(d, s, n); }

static void *fit_heap;
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    (void)variant; (void)l2align;
    arena_size = reserve;
    return NULL;
}
static void *a_open(void) { void *m = arena_take(); return m ? lv_tlsf_create_with_pool(m, arena_size) : NULL; }
static void a_close(void *h) { arena_give(h); }
static inline void *a_alloc(void *h, size_t n) { return lv_tlsf_malloc(h, n); }
static inline void *a_calloc(void *h, size_t n) { void *p = lv_tlsf_malloc(h, n); return p ? memset(p, 0, n) : p; }
static inline void *a_aligned(void *h, size_t al, size_t n) { return lv_tlsf_memalign(h, al, n); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)o; return lv_tlsf_realloc(h, p, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)o; lv_tlsf_free(h, p); }
static int a_fit_begin(void *memory, size_t size, size_t block)
{
    (void)block;
    fit_heap = size < lv_tlsf_size() + 64 ? NULL : lv_tlsf_create_with_pool(memory, size & ~(size_t)7);
    return fit_heap != NULL;
}
static size_t a_fit_held(void) { return 0; }
