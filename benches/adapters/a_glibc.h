/* adapter: the C library's malloc. It has no heaps: what a client leaves is freed block by block. */
#define A_NAME "glibc"
#define A_IN_BLOCK 0
#define A_DELETE 0
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align) { (void)variant; (void)reserve; (void)l2align; return NULL; }
static char gl_heap;
static void *a_open(void) { return &gl_heap; }
static void a_close(void *h) { (void)h; }
static inline void *a_alloc(void *h, size_t n) { (void)h; return malloc(n); }
static inline void *a_calloc(void *h, size_t n) { (void)h; return calloc(1, n); }
static inline void *a_aligned(void *h, size_t al, size_t n) { void *p; (void)h; return posix_memalign(&p, al < 8 ? 8 : al, n) ? NULL : p; }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)h; (void)o; return realloc(p, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)h; (void)o; free(p); }
