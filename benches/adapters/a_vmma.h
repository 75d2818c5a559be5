/* adapter: libvmma through its shared library. Variants: default, or names of flags with hyphens between. */
#include "libvmma.h"
#define A_NAME "libvmma"
#define A_IN_BLOCK 1
#define A_DELETE 1
#define A_FIT_CLIENTS 1
#define A_VMMA 1

static vmma_context_t *va_context, *fit_context;
static vmma_flags_t va_flags;
static size_t va_alignment;

static const char *a_setup(const char *variant, size_t reserve, unsigned l2align)
{
    static const struct { const char *name; vmma_flags_t flag; } flags[] = {
        { "threads", VMMA_FLAG_THREADS }, { "shared", VMMA_FLAG_SHARED_CLIENTS }, { "zero", VMMA_FLAG_ZERO },
        { "wipe", VMMA_FLAG_WIPE }, { "guard", VMMA_FLAG_GUARD }, { "quarantine", VMMA_FLAG_QUARANTINE },
        { "packed", VMMA_FLAG_PACKED }, { "nocache", VMMA_FLAG_NO_CACHE }, { "release", VMMA_FLAG_RELEASE },
        { "abort", VMMA_FLAG_ABORT } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strstr(variant, flags[i].name))
            va_flags |= flags[i].flag;
    /* default mode uses the default alignment; PACKED what the program was promised */
    va_alignment = strstr(variant, "packed") ? (size_t)1 << l2align : 0;
    va_context = vmma_create_context(NULL, reserve, va_alignment, 0, va_flags);
    if (!va_context)
        return "no context";
    return (vmma_get_accepted_flags(va_context) & va_flags) == va_flags ? NULL : "flags not accepted";
}

static void *a_open(void) { return vmma_create_client(va_context); }
static void a_close(void *h) { vmma_delete_client(h); }
static inline void *a_alloc(void *h, size_t n) { return vmma_alloc(h, n); }
static inline void *a_calloc(void *h, size_t n) { return vmma_calloc(h, 1, n); }
static inline void *a_aligned(void *h, size_t al, size_t n) { return vmma_aligned_alloc(h, al, n); }
static inline void *a_realloc(void *h, void *p, size_t o, size_t n) { (void)o; return vmma_realloc(h, p, n); }
static inline void a_free(void *h, void *p, size_t o) { (void)o; vmma_free(h, p); }

static int a_fit_begin(void *memory, size_t size, size_t block)
{
    fit_context = vmma_create_context(memory, size, va_alignment, block, va_flags);
    return fit_context != NULL;
}
static void *a_fit_heap(void) { return vmma_create_client(fit_context); }
static void a_fit_close(void *h) { vmma_delete_client(h); }
static size_t a_fit_held(void) { return vmma_get_peak_blocks(fit_context) * vmma_get_block_size(fit_context); }
static void a_fit_end(void) { vmma_delete_context(fit_context); }
