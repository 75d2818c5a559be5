/* adapter: the floor. Free lists per size class and a bump pointer, no check at all, and the caller tells the size on
 * free: what no allocator with records can beat by much. Its functions stay calls (noinline), as those of a library. */
#include "arena.h"
#define A_NAME "floor"
#define A_IN_BLOCK 0
#define A_DELETE 1
struct floor_heap { char *next, *end; void *list[160]; };

static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    (void)variant; (void)l2align;
    arena_size = reserve;
    return NULL;
}
static void *a_open(void)
{
    struct floor_heap *h = arena_take();
    if (!h)
        return NULL;
    memset(h, 0, sizeof *h);
    h->next = (char *)h + 4096;
    h->end = (char *)h + arena_size;
    return h;
}
static void a_close(void *h) { arena_give(h); }
/* multiples of 16 up to 1 KiB, above four steps per doubling */
static inline unsigned fl_class(size_t n, size_t *cell)
{
    if (n <= 1024) {
        unsigned c = (unsigned)((n + 15) >> 4) | (n == 0);
        *cell = (size_t)c << 4;
        return c;
    }
    unsigned shift = 61u - (unsigned)__builtin_clzl(n - 1);
    size_t step = (n - 1) >> shift; /* 4..7 */
    *cell = (step + 1) << shift;
    return 32u + shift * 4u + (unsigned)step;
}
__attribute__((noinline)) static void *a_alloc(void *heap, size_t n)
{
    struct floor_heap *h = heap;
    size_t cell;
    unsigned c = fl_class(n, &cell);
    void **p = h->list[c];
    if (p) {
        h->list[c] = *p;
        return p;
    }
    if ((size_t)(h->end - h->next) < cell)
        return NULL;
    p = (void **)h->next;
    h->next += cell;
    return p;
}
__attribute__((noinline)) static void a_free(void *heap, void *p, size_t o)
{
    struct floor_heap *h = heap;
    size_t cell;
    unsigned c = fl_class(o, &cell);
    if (!p)
        return;
    *(void **)p = h->list[c];
    h->list[c] = p;
}
__attribute__((noinline)) static void *a_realloc(void *h, void *p, size_t o, size_t n)
{
    size_t c1, c2;
    if (fl_class(o, &c1) == fl_class(n, &c2))
        return p;
    void *q = a_alloc(h, n);
    if (!q)
        return NULL;
    memcpy(q, p, o < n ? o : n);
    a_free(h, p, o);
    return q;
}
static inline void *a_calloc(void *h, size_t n) { void *p = a_alloc(h, n); return p ? memset(p, 0, n) : p; }
static inline void *a_aligned(void *h, size_t al, size_t n) { return al <= 16 ? a_alloc(h, n) : NULL; }
