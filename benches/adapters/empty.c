/* empty.c - the functions of the empty allocator, as a shared library with libvmma's names (-DEMPTY_VMMA) and as
 * plain functions. Every allocation is the same piece of memory; only loops that use one block at a time may run on it. */
#include <stddef.h>
static _Alignas(64) char memory[1 << 17];
#ifdef EMPTY_VMMA
#include "libvmma.h"
vmma_context_t *vmma_create_context(void *m, size_t s, size_t a, size_t b, vmma_flags_t f) { (void)m; (void)s; (void)a; (void)b; (void)f; return (vmma_context_t *)memory; }
vmma_flags_t vmma_get_accepted_flags(const vmma_context_t *c) { (void)c; return ~(vmma_flags_t)0; }
vmma_client_t *vmma_create_client(vmma_context_t *c) { (void)c; return (vmma_client_t *)memory; }
int vmma_delete_client(vmma_client_t *c) { (void)c; return 0; }
void *vmma_alloc(vmma_client_t *c, size_t n) { (void)c; (void)n; return memory; }
void *vmma_calloc(vmma_client_t *c, size_t n, size_t s) { (void)c; (void)n; (void)s; return memory; }
void *vmma_realloc(vmma_client_t *c, void *p, size_t n) { (void)c; (void)p; (void)n; return memory; }
void *vmma_aligned_alloc(vmma_client_t *c, size_t a, size_t n) { (void)c; (void)a; (void)n; return memory; }
int vmma_free(vmma_client_t *c, void *p) { (void)c; (void)p; return 0; }
#else
void *empty_alloc(void *h, size_t n);
void empty_free(void *h, void *p);
void *empty_alloc(void *h, size_t n) { (void)h; (void)n; return memory; }
void empty_free(void *h, void *p) { (void)h; (void)p; }
#endif
