/*
 * abi.c: sizes and offsets of public types, values of flags, statuses and formats, the exact prototype of every
 * function. Public header only; most of it is checked by the compiler.
 */
#include "vt.h"
#include <stddef.h>

#define OFFSET(type, field, word) \
    _Static_assert(offsetof(type, field) == (word) * sizeof(size_t), #type "." #field)

OFFSET(vmma_stats_t, struct_size, 0);
OFFSET(vmma_stats_t, held_size, 1);
OFFSET(vmma_stats_t, live_count, 2);
OFFSET(vmma_stats_t, live_size, 3);
OFFSET(vmma_stats_t, cached_size, 4);
OFFSET(vmma_stats_t, cached_blocks, 5);
OFFSET(vmma_stats_t, free_size, 6);
OFFSET(vmma_stats_t, largest_free, 7);
OFFSET(vmma_stats_t, overhead_size, 8);
OFFSET(vmma_stats_t, failed_count, 9);
OFFSET(vmma_stats_t, largest_failed, 10);
_Static_assert(sizeof(vmma_stats_t) == 11 * sizeof(size_t), "sizeof vmma_stats_t");
_Static_assert(sizeof(struct vmma_stats) == sizeof(vmma_stats_t), "struct vmma_stats");
OFFSET(vmma_error_t, struct_size, 0);
_Static_assert(offsetof(vmma_error_t, status) == sizeof(size_t), "vmma_error_t.status");
OFFSET(vmma_error_t, client, 2);
OFFSET(vmma_error_t, address, 3);
OFFSET(vmma_error_t, allocation, 4);
OFFSET(vmma_error_t, size, 5);
_Static_assert(sizeof(vmma_error_t) == 6 * sizeof(size_t), "sizeof vmma_error_t");
_Static_assert(sizeof(struct vmma_error) == sizeof(vmma_error_t), "struct vmma_error");
_Static_assert(_Generic((vmma_flags_t)0, uint32_t: 1, default: 0), "vmma_flags_t is uint32_t");
_Static_assert(_Generic(((vmma_error_t *)0)->status, int: 1, default: 0), "vmma_error_t.status is int");
_Static_assert(_Generic(((vmma_error_t *)0)->client, vmma_client_t *: 1, default: 0), "vmma_error_t.client");
_Static_assert(_Generic(((vmma_error_t *)0)->address, const void *: 1, default: 0), "vmma_error_t.address");
_Static_assert(_Generic(((vmma_error_t *)0)->allocation, void *: 1, default: 0), "vmma_error_t.allocation");
_Static_assert(_Generic(((vmma_error_t *)0)->size, size_t: 1, default: 0), "vmma_error_t.size");
_Static_assert(_Generic((vmma_context_t *)0, struct vmma_context *: 1, default: 0), "struct vmma_context");
_Static_assert(_Generic((vmma_client_t *)0, struct vmma_client *: 1, default: 0), "struct vmma_client");

_Static_assert(VMMA_VERSION_MAJOR == 0 && VMMA_VERSION_MINOR == 5 && VMMA_VERSION_PATCH == 0, "version 0.5.0");
_Static_assert(VMMA_VERSION == 0x0500, "VMMA_VERSION");
_Static_assert(VMMA_FLAG_THREADS == 0x0001 && VMMA_FLAG_SHARED_CLIENTS == 0x0002 && VMMA_FLAG_ZERO == 0x0004 &&
                   VMMA_FLAG_WIPE == 0x0008 && VMMA_FLAG_GUARD == 0x0010 && VMMA_FLAG_QUARANTINE == 0x0020 &&
                   VMMA_FLAG_PACKED == 0x0040 && VMMA_FLAG_NO_CACHE == 0x0080 && VMMA_FLAG_RELEASE == 0x0100 &&
                   VMMA_FLAG_ABORT == 0x0200,
               "flag values");
/* defined as unsigned constants, also for the preprocessor */
#if (VMMA_FLAG_THREADS - 2) < 0 || (VMMA_FLAG_SHARED_CLIENTS - 3) < 0 || (VMMA_FLAG_ZERO - 5) < 0 || \
    (VMMA_FLAG_WIPE - 9) < 0 || (VMMA_FLAG_GUARD - 17) < 0 || (VMMA_FLAG_QUARANTINE - 33) < 0 ||    \
    (VMMA_FLAG_PACKED - 65) < 0 || (VMMA_FLAG_NO_CACHE - 129) < 0 || (VMMA_FLAG_RELEASE - 257) < 0 || \
    (VMMA_FLAG_ABORT - 513) < 0
#error "flags are unsigned constants"
#endif
_Static_assert(VMMA_OK == 0 && VMMA_E_INVALID == -1 && VMMA_E_NO_MEMORY == -2 && VMMA_E_LIMIT == -3 &&
                   VMMA_E_NOT_OWNED == -4 && VMMA_E_NOT_START == -5 && VMMA_E_DOUBLE_FREE == -6 && VMMA_E_OVERRUN == -7 &&
                   VMMA_E_USE_AFTER_FREE == -8 && VMMA_E_CORRUPT == -9 && VMMA_E_BUSY == -10,
               "status values");
_Static_assert(VMMA_DUMP_TEXT == 0 && VMMA_DUMP_JSON == 1 && VMMA_DUMP_SVG == 2, "dump formats");

/* callback types */
typedef int oom_type(vmma_client_t *, size_t, int, void *);
typedef int visit_type(vmma_client_t *, void *, size_t, void *);
typedef int visit_client_type(vmma_client_t *, void *);
typedef int write_type(const char *, size_t, void *);
typedef void error_type(vmma_context_t *, const vmma_error_t *, void *);
#define SAME(a, b) _Static_assert(_Generic((a)0, b: 1, default: 0), #a)
SAME(vmma_oom_fn, oom_type *);
SAME(vmma_visit_allocation_fn, visit_type *);
SAME(vmma_visit_client_fn, visit_client_type *);
SAME(vmma_write_fn, write_type *);
SAME(vmma_error_fn, error_type *);

/* every function by its exact type: another prototype does not compile */
#define FUNCTIONS(F)                                                                                            \
    F(const char *(*)(int), vmma_status_string)                                                                 \
    F(vmma_context_t *(*)(void *, size_t, size_t, size_t, vmma_flags_t), vmma_create_context)                   \
    F(vmma_flags_t (*)(void), vmma_get_supported_flags)                                                         \
    F(vmma_flags_t (*)(const vmma_context_t *), vmma_get_accepted_flags)                                        \
    F(vmma_client_t *(*)(vmma_context_t *), vmma_create_client)                                                 \
    F(int (*)(vmma_client_t *), vmma_delete_client)                                                             \
    F(void *(*)(vmma_client_t *, size_t), vmma_alloc)                                                           \
    F(int (*)(vmma_client_t *, void *), vmma_free)                                                              \
    F(int (*)(const vmma_client_t *, const void *), vmma_test_address)                                          \
    F(size_t (*)(const vmma_client_t *, const void *), vmma_get_size)                                           \
    F(size_t (*)(const vmma_context_t *), vmma_get_total_size)                                                  \
    F(size_t (*)(vmma_context_t *), vmma_populate_cached_blocks)                                                \
    F(int (*)(vmma_context_t *), vmma_delete_context)                                                           \
    F(size_t (*)(size_t, size_t, size_t, vmma_flags_t), vmma_get_required_size)                                 \
    F(int (*)(vmma_client_t *), vmma_reset_client)                                                              \
    F(void *(*)(vmma_client_t *, size_t, size_t), vmma_calloc)                                                  \
    F(void *(*)(vmma_client_t *, void *, size_t), vmma_realloc)                                                 \
    F(void *(*)(vmma_client_t *, size_t, size_t), vmma_aligned_alloc)                                           \
    F(int (*)(vmma_client_t *), vmma_trim_client)                                                               \
    F(int (*)(vmma_context_t *), vmma_trim_context)                                                             \
    F(size_t (*)(const vmma_context_t *, size_t), vmma_get_good_size)                                           \
    F(uint32_t (*)(void), vmma_get_version)                                                                     \
    F(const char *(*)(void), vmma_get_version_string)                                                           \
    F(int (*)(vmma_client_t *, size_t), vmma_set_limit)                                                         \
    F(size_t (*)(const vmma_client_t *), vmma_get_limit)                                                        \
    F(int (*)(vmma_client_t *, size_t), vmma_set_guarantee)                                                     \
    F(size_t (*)(const vmma_client_t *), vmma_get_guarantee)                                                    \
    F(size_t (*)(vmma_client_t *), vmma_get_max_alloc)                                                          \
    F(int (*)(const vmma_client_t *), vmma_get_last_status)                                                     \
    F(int (*)(vmma_client_t *, vmma_oom_fn, void *), vmma_set_oom_handler)                                      \
    F(vmma_context_t *(*)(const vmma_client_t *), vmma_get_context)                                             \
    F(vmma_client_t *(*)(const vmma_context_t *, const void *), vmma_find_client)                               \
    F(void *(*)(const vmma_client_t *, const void *, size_t *), vmma_find_allocation)                           \
    F(int (*)(vmma_client_t *, const char *), vmma_set_name)                                                    \
    F(const char *(*)(const vmma_client_t *), vmma_get_name)                                                    \
    F(void (*)(vmma_client_t *, void *), vmma_set_user_data)                                                    \
    F(void *(*)(const vmma_client_t *), vmma_get_user_data)                                                     \
    F(size_t (*)(const vmma_context_t *), vmma_get_alignment)                                                   \
    F(size_t (*)(const vmma_context_t *), vmma_get_block_size)                                                  \
    F(size_t (*)(const vmma_context_t *), vmma_get_total_blocks)                                                \
    F(size_t (*)(const vmma_context_t *), vmma_get_free_blocks)                                                 \
    F(size_t (*)(const vmma_context_t *), vmma_get_peak_blocks)                                                 \
    F(size_t (*)(const vmma_context_t *), vmma_get_client_count)                                                \
    F(size_t (*)(const vmma_client_t *), vmma_get_held_size)                                                    \
    F(size_t (*)(const vmma_client_t *), vmma_get_peak_held_size)                                               \
    F(int (*)(vmma_context_t *, vmma_stats_t *), vmma_populate_context_stats)                                   \
    F(int (*)(vmma_client_t *, vmma_stats_t *), vmma_populate_client_stats)                                     \
    F(int (*)(vmma_client_t *, vmma_visit_allocation_fn, void *), vmma_walk_allocations)                        \
    F(int (*)(vmma_context_t *, vmma_visit_client_fn, void *), vmma_walk_clients)                               \
    F(int (*)(vmma_client_t *), vmma_check_client)                                                              \
    F(int (*)(vmma_context_t *), vmma_check_context)                                                            \
    F(int (*)(vmma_context_t *, int, vmma_write_fn, void *), vmma_dump)                                         \
    F(int (*)(vmma_context_t *, vmma_error_fn, void *), vmma_set_error_handler)                                 \
    F(void *(*)(void *, void *, size_t, size_t), vmma_lua_alloc)

#define TYPED(type, name) _Static_assert(_Generic(&(name), type: 1, default: 0), #name);
/* A type in a macro argument cannot hold the variable's name, so the typed pointers are _Generic's own. */
FUNCTIONS(TYPED)

typedef void (*any_function)(void);
#define ENTRY(type, name) {#name, (any_function)&(name)},
static const struct {
    const char *name;
    any_function address;
} functions[] = {FUNCTIONS(ENTRY)};

int main(void)
{
    vt_begin("abi");
    CHECK(VT_COUNT(functions) == 54, "54 functions");
    for (unsigned i = 0; i < VT_COUNT(functions); i++) {
        vt_mode("%s", functions[i].name);
        CHECK(functions[i].address != NULL, "every function is there at run time");
        for (unsigned j = 0; j < i; j++)
            CHECK(functions[i].address != functions[j].address, "functions are distinct");
    }
    /* called through typed pointers, as a binding would */
    vmma_context_t *(*create)(void *, size_t, size_t, size_t, vmma_flags_t) = vmma_create_context;
    vmma_client_t *(*client)(vmma_context_t *) = vmma_create_client;
    void *(*alloc)(vmma_client_t *, size_t) = vmma_alloc;
    int (*release)(vmma_client_t *, void *) = vmma_free;
    int (*end)(vmma_context_t *) = vmma_delete_context;
    vmma_context_t *c = create(NULL, 1 << 20, 0, 0, 0);
    vmma_client_t *k = client(c);
    void *p = alloc(k, 64);
    CHECK(p != NULL, "a call through a typed pointer");
    CHECK_ST(release(k, p), VMMA_OK, "a free through a typed pointer");
    CHECK_ST(end(c), VMMA_OK, "an end through a typed pointer");
    return vt_end();
}
