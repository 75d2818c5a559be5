/* adapter: empty functions, for instruction counts: what the loop and the calls alone cost. Replays nothing. */
#define A_NAME "empty"
#define A_IN_BLOCK 0
#define A_DELETE 1
void *empty_alloc(void *h, size_t n);
void empty_free(void *h, void *p);
static char em_heap;
static const char *a_setup(const char *variant, size_t reserve, unsigned l2align) { (void)variant; (void)reserve; (void)l2align; return NULL; }
static void *a_open(void) { return &em_heap; }
static void a_close(void *h) { (void)h; }
static inline void *a_alloc(void *h, size_t n) { return empty_alloc(h, n); }
static inline void *a_calloc(void *h, size_t n) { return empty_alloc(h, n); }
static inline void *a_aligned(void *h, size_t al, size_t n) { (void)al; return empty_alloc(h, n); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)p; (void)o; return empty_alloc(h, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)o; empty_free(h, p); }
