/* adapter: mimalloc heaps. Variant "keep": its pages are never given back to the system, as in the pools beside it. */
#include <mimalloc.h>
#define A_NAME "mimalloc"
#define A_IN_BLOCK 0
#define A_DELETE 1
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    (void)reserve; (void)l2align;
    if (!strcmp(variant, "keep"))
        mi_option_set(mi_option_purge_delay, -1);
    return NULL;
}
static void *a_open(void) { return mi_heap_new(); }
static void a_close(void *h) { mi_heap_destroy(h); }
static inline void *a_alloc(void *h, size_t n) { return mi_heap_malloc(h, n); }
static inline void *a_calloc(void *h, size_t n) { return mi_heap_zalloc(h, n); }
static inline void *a_aligned(void *h, size_t al, size_t n) { return mi_heap_malloc_aligned(h, n, al); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)o; return mi_heap_realloc(h, p, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)h; (void)o; mi_free(p); }
