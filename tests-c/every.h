/*
 * every.h: calls every function of the API with a handle that must be refused, and checks what API.md says
 * of NULL and dead handles. Shared by errors.c and misuse/. Knows the public API only.
 */
#ifndef VT_EVERY_H
#define VT_EVERY_H

#include "vt_ctx.h"

static int every_callbacks;       /* callbacks that ran although the handle was refused */

static int every_oom(vmma_client_t *c, size_t n, int reason, void *u)
{
    (void)c, (void)n, (void)reason, (void)u;
    every_callbacks++;
    return 0;
}

static int every_visit(vmma_client_t *c, void *p, size_t n, void *u)
{
    (void)c, (void)p, (void)n, (void)u;
    every_callbacks++;
    return 1;
}

static int every_visit_client(vmma_client_t *c, void *u)
{
    (void)c, (void)u;
    every_callbacks++;
    return 1;
}

static int every_write(const char *t, size_t n, void *u)
{
    (void)t, (void)n, (void)u;
    every_callbacks++;
    return 1;
}

static void every_error(vmma_context_t *c, const vmma_error_t *e, void *u)
{
    (void)c, (void)e, (void)u;
    every_callbacks++;
}

/* An int function must say INVALID and leave errno alone. */
#define EVERY_INT(call)                                                              \
    do {                                                                             \
        errno = VT_ERRNO_MARK;                                                       \
        int every_result = (call);                                                   \
        int every_errno = errno;                                                     \
        CHECK_ST(every_result, VMMA_E_INVALID, "NULL or dead handle: INVALID from " #call); \
        CHECK_EQ(every_errno, VT_ERRNO_MARK, "NULL or dead handle: errno left alone by " #call); \
    } while (0)
#define EVERY_ZERO(call)                                                             \
    do {                                                                             \
        errno = VT_ERRNO_MARK;                                                       \
        size_t every_result = (size_t)(call);                                        \
        int every_errno = errno;                                                     \
        CHECK_EQ(every_result, 0, "NULL or dead handle: 0 or NULL from " #call);     \
        CHECK_EQ(every_errno, VT_ERRNO_MARK, "NULL or dead handle: errno left alone by " #call); \
    } while (0)
/* A function that allocates or creates must say NULL and EINVAL. */
#define EVERY_NULL_EINVAL(call)                                                      \
    do {                                                                             \
        errno = 0;                                                                   \
        const void *every_result = (call);                                           \
        int every_errno = errno;                                                     \
        CHECK_PTR(every_result, NULL, "NULL or dead handle: NULL from " #call);      \
        CHECK_EQ(every_errno, EINVAL, "NULL or dead handle: EINVAL from " #call);    \
    } while (0)

/* `p`: any address, for instance what was once an allocation of the client. */
static inline void every_client_function(vmma_client_t *dead, void *p)
{
    vmma_stats_t stats;
    size_t size = 0;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    every_callbacks = 0;
    EVERY_INT(vmma_delete_client(dead));
    EVERY_NULL_EINVAL(vmma_alloc(dead, 16));
    EVERY_NULL_EINVAL(vmma_alloc(dead, SIZE_MAX));
    EVERY_INT(vmma_free(dead, p));
    EVERY_INT(vmma_free(dead, NULL));
    EVERY_ZERO(vmma_test_address(dead, p));
    EVERY_ZERO(vmma_get_size(dead, p));
    EVERY_INT(vmma_reset_client(dead));
    EVERY_NULL_EINVAL(vmma_calloc(dead, 2, 8));
    EVERY_NULL_EINVAL(vmma_calloc(dead, SIZE_MAX, SIZE_MAX));
    EVERY_NULL_EINVAL(vmma_realloc(dead, p, 8));
    EVERY_NULL_EINVAL(vmma_realloc(dead, NULL, 8));
    EVERY_NULL_EINVAL(vmma_aligned_alloc(dead, 16, 8));
    EVERY_NULL_EINVAL(vmma_aligned_alloc(dead, 3, 8));
    EVERY_INT(vmma_trim_client(dead));
    EVERY_INT(vmma_set_limit(dead, 1000));
    EVERY_ZERO(vmma_get_limit(dead));
    EVERY_INT(vmma_set_guarantee(dead, 1000));
    EVERY_ZERO(vmma_get_guarantee(dead));
    EVERY_ZERO(vmma_get_max_alloc(dead));
    EVERY_INT(vmma_get_last_status(dead));
    EVERY_INT(vmma_set_oom_handler(dead, every_oom, NULL));
    EVERY_INT(vmma_set_oom_handler(dead, NULL, NULL));
    EVERY_ZERO(vmma_get_context(dead));
    EVERY_ZERO(vmma_find_allocation(dead, p, &size));
    EVERY_ZERO(vmma_find_allocation(dead, p, NULL));
    EVERY_INT(vmma_set_name(dead, "name"));
    EVERY_INT(vmma_set_name(dead, NULL));
    EVERY_ZERO(vmma_get_name(dead));
    vmma_set_user_data(dead, &size);
    EVERY_ZERO(vmma_get_user_data(dead));
    EVERY_ZERO(vmma_get_held_size(dead));
    EVERY_ZERO(vmma_get_peak_held_size(dead));
    EVERY_INT(vmma_populate_client_stats(dead, &stats));
    EVERY_INT(vmma_populate_client_stats(dead, NULL));
    EVERY_INT(vmma_walk_allocations(dead, every_visit, NULL));
    EVERY_INT(vmma_walk_allocations(dead, NULL, NULL));
    EVERY_INT(vmma_check_client(dead));
    CHECK_PTR(vmma_lua_alloc(dead, NULL, 0, 16), NULL, "NULL or dead handle: vmma_lua_alloc gives NULL");
    CHECK_PTR(vmma_lua_alloc(dead, p, 8, 16), NULL, "NULL or dead handle: vmma_lua_alloc gives NULL (growth)");
    CHECK_PTR(vmma_lua_alloc(dead, p, 8, 0), NULL, "NULL or dead handle: vmma_lua_alloc gives NULL (free)");
    CHECK_EQ(every_callbacks, 0, "NULL or dead handle: no callback runs");
}

static inline void every_context_function(vmma_context_t *dead, void *p)
{
    vmma_stats_t stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    every_callbacks = 0;
    EVERY_INT(vmma_delete_context(dead));
    EVERY_ZERO(vmma_get_accepted_flags(dead));
    EVERY_NULL_EINVAL(vmma_create_client(dead));
    EVERY_ZERO(vmma_get_total_size(dead));
    EVERY_ZERO(vmma_populate_cached_blocks(dead));
    EVERY_INT(vmma_trim_context(dead));
    EVERY_ZERO(vmma_get_good_size(dead, 16));
    EVERY_ZERO(vmma_find_client(dead, p));
    EVERY_ZERO(vmma_get_alignment(dead));
    EVERY_ZERO(vmma_get_block_size(dead));
    EVERY_ZERO(vmma_get_total_blocks(dead));
    EVERY_ZERO(vmma_get_free_blocks(dead));
    EVERY_ZERO(vmma_get_peak_blocks(dead));
    EVERY_ZERO(vmma_get_client_count(dead));
    EVERY_INT(vmma_populate_context_stats(dead, &stats));
    EVERY_INT(vmma_populate_context_stats(dead, NULL));
    EVERY_INT(vmma_walk_clients(dead, every_visit_client, NULL));
    EVERY_INT(vmma_walk_clients(dead, NULL, NULL));
    EVERY_INT(vmma_check_context(dead));
    EVERY_INT(vmma_dump(dead, VMMA_DUMP_TEXT, every_write, NULL));
    EVERY_INT(vmma_dump(dead, 99, NULL, NULL));
    EVERY_INT(vmma_set_error_handler(dead, every_error, NULL));
    EVERY_INT(vmma_set_error_handler(dead, NULL, NULL));
    CHECK_EQ(every_callbacks, 0, "NULL or dead handle: no callback runs");
}

#endif
