/*
 * errors.c: NULL and dead handles in every function, errno rules, wrong parameters, what the error handler
 * is told, struct_size rules. Public API only.
 */
#include "every.h"

static void null_handles(void)
{
    int local = 0;
    vt_mode("NULL");
    every_client_function(NULL, NULL);
    every_client_function(NULL, &local);
    every_context_function(NULL, NULL);
    every_context_function(NULL, &local);
    vt_mode("-");
}

static void dead_client(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 2 << 20, 0, 4096, f);
    vmma_client_t *a = vmma_create_client(c), *b = vmma_create_client(c);
    vt_errors errors = {0};
    vmma_set_error_handler(c, vt_on_error, &errors);
    void *p = vmma_alloc(a, 100), *q = vmma_alloc(b, 100);
    memset(q, 7, 100);
    vmma_delete_client(a);
    uint64_t before = vt_fingerprint(c);
    every_client_function(a, p);
    every_client_function(a, q);
    CHECK_EQ(errors.count, 0, "a dead handle is no misuse: the error handler is not told");
    CHECK(vt_fingerprint(c) == before, "a dead handle changes nothing");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "a dead handle: the context stays sound");
    /* the slot goes to a new client: it is a full client and knows nothing of the old one */
    vmma_client_t *n = vmma_create_client(c);
    CHECK(n != NULL && vmma_get_held_size(n) == 0, "a new client after a dead one");
    CHECK_EQ(vmma_test_address(n, p), 0, "the old client's memory is not the new one's");
    CHECK_EQ(vt_client_stats(n).live_count, 0, "stale records do not speak for a new client");
    if (n != a)
        every_client_function(a, p);
    vmma_delete_context(c);
}

static void creation_parameters(void)
{
    static unsigned char memory[1 << 18];
    static const size_t bad_alignments[] = {1, 2, 3, 4, 7, 9, 12, 15, 24, 48, 8191, 8192, 1 << 20, SIZE_MAX, SIZE_MAX / 2 + 1};
    static const size_t bad_blocks[] = {1, 8, 512, 1000, 1023, 1025, 1536, 65535, 65537, 3 << 20, (size_t)2 << 30, SIZE_MAX, SIZE_MAX / 2 + 1};
    for (unsigned i = 0; i < VT_COUNT(bad_alignments); i++)
        for (int mapped = 0; mapped < 2; mapped++) {
            vt_mode("alignment %zu", bad_alignments[i]);
            errno = 0;
            CHECK(vmma_create_context(mapped ? NULL : memory, sizeof memory, bad_alignments[i], 0, 0) == NULL,
                  "alignment: only powers of two from 8 to 4096, or 0");
            CHECK_EQ(errno, EINVAL, "other alignments: EINVAL");
            CHECK_EQ(vmma_get_required_size(1000, bad_alignments[i], 0, 0), 0, "vmma_get_required_size: 0 for a bad alignment");
        }
    for (unsigned i = 0; i < VT_COUNT(bad_blocks); i++)
        for (int mapped = 0; mapped < 2; mapped++) {
            vt_mode("block size %zu", bad_blocks[i]);
            errno = 0;
            CHECK(vmma_create_context(mapped ? NULL : memory, sizeof memory, 0, bad_blocks[i], 0) == NULL,
                  "block size: only powers of two from 1 KiB to 1 GiB, or 0");
            CHECK_EQ(errno, EINVAL, "other block sizes: EINVAL");
            CHECK_EQ(vmma_get_required_size(1000, 0, bad_blocks[i], 0), 0, "vmma_get_required_size: 0 for a bad block size");
        }
    for (size_t alignment = 8; alignment <= 4096; alignment *= 2)
        for (size_t bs = 1024; bs <= 131072; bs *= 2) {
            vt_mode("alignment %zu block size %zu", alignment, bs);
            errno = 0;
            vmma_context_t *c = vmma_create_context(NULL, 4 << 20, alignment, bs, 0);
            int e = errno;
            if (bs >= alignment * 16) {
                CHECK(c != NULL, "block size of at least 16 x alignment is taken");
                CHECK_EQ(vmma_get_block_size(c), bs, "block size as given");
                CHECK_EQ(vmma_get_alignment(c), alignment, "alignment as given");
                vmma_delete_context(c);
            } else {
                CHECK(c == NULL && e == EINVAL, "block size below 16 x alignment: EINVAL");
            }
        }
    vt_mode("-");
    /* a memory block that wraps around the address space; none of it is touched */
    static const size_t tails[] = {1, 4095, 65536, (size_t)1 << 40};
    for (unsigned i = 0; i < VT_COUNT(tails); i++) {
        errno = 0;
        CHECK(vmma_create_context((void *)(UINTPTR_MAX - tails[i]), tails[i] + 65536 * 3, 0, 0, 0) == NULL,
              "memory + size that wraps fails");
        CHECK_EQ(errno, EINVAL, "memory + size that wraps: EINVAL");
    }
    errno = 0;
    CHECK(vmma_create_context(memory, SIZE_MAX, 0, 0, 0) == NULL && errno == EINVAL, "given memory of SIZE_MAX bytes wraps: EINVAL");
    static const size_t small[] = {0, 1, 7, 8, 64, 511, 1023, 1024};
    for (unsigned i = 0; i < VT_COUNT(small); i++)
        for (int mapped = 0; mapped < 2; mapped++) {
            vt_mode("size %zu mapped %d", small[i], mapped);
            errno = 0;
            CHECK(vmma_create_context(mapped ? NULL : memory, small[i], 0, 0, 0) == NULL, "a size too small for records and one block fails");
            CHECK_EQ(errno, ENOMEM, "a size too small for records and one block: ENOMEM");
        }
    errno = 0;
    CHECK(vmma_create_context(NULL, SIZE_MAX, 0, 0, 0) == NULL && errno == ENOMEM, "mapping SIZE_MAX bytes: ENOMEM");
    errno = 0;
    CHECK(vmma_create_context(NULL, SIZE_MAX / 2 + 1, 0, 0, 0) == NULL && errno == ENOMEM, "mapping half of everything: ENOMEM");
    errno = VT_ERRNO_MARK;
    CHECK_EQ(vmma_get_required_size(SIZE_MAX, 0, 0, 0), 0, "vmma_get_required_size(SIZE_MAX): 0 = impossible");
    CHECK_EQ(vmma_get_required_size(SIZE_MAX - 4096, 0, 65536, 0), 0, "vmma_get_required_size near SIZE_MAX: 0 = impossible");
    CHECK_EQ(vmma_get_required_size(1000, 128, 1024, 0), 0, "vmma_get_required_size: 0 for a block size below 16 x alignment");
    CHECK_EQ(errno, VT_ERRNO_MARK, "vmma_get_required_size leaves errno alone");
    vt_mode("-");
}

/* INVALID with a live handle is misuse: told, kept as last status, errno as documented */
static void live_handle_invalid(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    vt_errors e = {0};
    CHECK_ST(vmma_set_error_handler(c, vt_on_error, &e), VMMA_OK, "vmma_set_error_handler: OK");
    int count = 0;
    uint64_t before = vt_fingerprint(c);
#define TOLD(expression, of_client)                                                       \
    do {                                                                                  \
        CHECK(expression, "INVALID with a live handle: " #expression);                    \
        CHECK_EQ(e.count, ++count, "INVALID with a live handle: the error handler is told once: " #expression); \
        CHECK_ST(e.last.status, VMMA_E_INVALID, "INVALID with a live handle: the exact status: " #expression); \
        CHECK_PTR(e.context, c, "the error handler gets the context");                    \
        CHECK_EQ(e.last.struct_size, sizeof e.last, "the error's struct_size");           \
        if (of_client) {                                                                  \
            CHECK_PTR(e.last.client, k, "the error names the client called: " #expression); \
            CHECK_ST(vmma_get_last_status(k), VMMA_E_INVALID, "INVALID is the last status: " #expression); \
        }                                                                                 \
        count = e.count;                                                                  \
    } while (0)
    TOLD(vmma_aligned_alloc(k, 3, 8) == NULL, 1);
    TOLD(vmma_aligned_alloc(k, 0, 8) == NULL, 1);
    TOLD(vmma_aligned_alloc(k, 8192, 8) == NULL, 1);
    TOLD(vmma_walk_allocations(k, NULL, NULL) == VMMA_E_INVALID, 1);
    TOLD(vmma_walk_clients(c, NULL, NULL) == VMMA_E_INVALID, 0);
    TOLD(vmma_populate_client_stats(k, NULL) == VMMA_E_INVALID, 1);
    TOLD(vmma_populate_context_stats(c, NULL) == VMMA_E_INVALID, 0);
    TOLD(vmma_dump(c, VMMA_DUMP_TEXT, NULL, NULL) == VMMA_E_INVALID, 0);
    TOLD(vmma_dump(c, 3, every_write, NULL) == VMMA_E_INVALID, 0);
    TOLD(vmma_dump(c, -1, every_write, NULL) == VMMA_E_INVALID, 0);
    CHECK(vmma_set_limit(k, 8192) == VMMA_OK, "a limit of two blocks");
    uint64_t limited = vt_fingerprint(c);
    TOLD(vmma_set_guarantee(k, 8193) == VMMA_E_INVALID, 1);
    CHECK(vt_fingerprint(c) == limited, "a refused guarantee changes nothing");
    CHECK(vmma_set_limit(k, 0) == VMMA_OK, "no limit");
    vmma_stats_t s;
    memset(&s, 0xaa, sizeof s);
    s.struct_size = sizeof(size_t) - 1;
    TOLD(vmma_populate_client_stats(k, &s) == VMMA_E_INVALID, 1);
    s.struct_size = 0;
    TOLD(vmma_populate_context_stats(c, &s) == VMMA_E_INVALID, 0);
    CHECK_EQ(s.held_size, (size_t)0xaaaaaaaaaaaaaaaaull, "struct_size INVALID: nothing is written");
    CHECK(vt_fingerprint(c) == before, "INVALID calls change nothing");
    CHECK_EQ(every_callbacks, 0, "an unknown dump format writes nothing");
    /* not misuse: LIMIT, NO_MEMORY */
    vmma_set_limit(k, 4096);
    CHECK(vmma_alloc(k, 50000) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "LIMIT");
    CHECK(vmma_alloc(k, 50 << 20) == NULL && vmma_get_last_status(k) == VMMA_E_NO_MEMORY, "NO_MEMORY");
    CHECK(vmma_set_limit(k, 0) == VMMA_OK, "no limit");
    CHECK_ST(vmma_set_guarantee(k, 50 << 20), VMMA_E_NO_MEMORY, "a guarantee that is not there: NO_MEMORY");
    CHECK_EQ(e.count, count, "LIMIT and NO_MEMORY are no misuse: the error handler is not told");
    CHECK_ST(vmma_set_error_handler(c, NULL, NULL), VMMA_OK, "a NULL handler removes the handler");
    CHECK(vmma_aligned_alloc(k, 3, 8) == NULL, "misuse without a handler");
    CHECK_EQ(e.count, count, "a removed handler is not told");
    vmma_delete_context(c);
}

static void struct_sizes(void)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, 0);
    vmma_client_t *k = vmma_create_client(c);
    CHECK(vmma_alloc(k, 5000) != NULL, "something to count");
    vmma_stats_t full = vt_client_stats(k), full_c = vt_context_stats(c);
    for (size_t size = sizeof(size_t); size < sizeof full + 100; size++)
        for (int of_context = 0; of_context < 2; of_context++) {
            unsigned char raw[sizeof full + 128];
            const unsigned char *truth = (const unsigned char *)(of_context ? &full_c : &full);
            memset(raw, 0x5c, sizeof raw);
            memcpy(raw, &size, sizeof size);
            vmma_stats_t *s = (vmma_stats_t *)(void *)raw;
            vt_mode("struct_size %zu", size);
            CHECK_ST(of_context ? vmma_populate_context_stats(c, s) : vmma_populate_client_stats(k, s), VMMA_OK, "any struct_size from sizeof(size_t) is OK");
            size_t kept;
            memcpy(&kept, raw, sizeof kept);
            CHECK_EQ(kept, size, "struct_size itself stays");
            size_t whole = size < sizeof full ? size / sizeof(size_t) * sizeof(size_t) : sizeof full;
            CHECK(memcmp(raw + sizeof(size_t), truth + sizeof(size_t), whole - sizeof(size_t)) == 0, "fields wholly inside struct_size are written");
            if (size > sizeof full)
                CHECK(vt_all_zero(raw + sizeof full, size - sizeof full), "bytes beyond what this version knows are zeroed");
            int untouched = 1;
            for (size_t i = size; i < sizeof raw; i++)
                untouched &= raw[i] == 0x5c;
            CHECK(untouched, "nothing beyond struct_size is written");
        }
    vt_mode("-");
    vmma_delete_context(c);
}

static void errno_rules(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    char local;
    void *p = vmma_alloc(k, 100), *q;
#define FAILS_WITH(call, number)                                                     \
    do {                                                                             \
        errno = 0;                                                                   \
        CHECK((call) == NULL, "fails: " #call);                                      \
        CHECK_EQ(errno, number, "sets errno: " #call);                               \
    } while (0)
    FAILS_WITH(vmma_alloc(k, 2 << 20), ENOMEM);
    FAILS_WITH(vmma_calloc(k, 2, 1 << 20), ENOMEM);
    FAILS_WITH(vmma_realloc(k, p, 2 << 20), ENOMEM);
    FAILS_WITH(vmma_aligned_alloc(k, 16, 2 << 20), ENOMEM);
    FAILS_WITH(vmma_realloc(k, &local, 10), EINVAL);
    FAILS_WITH(vmma_realloc(k, (char *)p + 16, 10), EINVAL);
    FAILS_WITH(vmma_lua_alloc(k, p, 100, 2 << 20), ENOMEM);
    vmma_set_limit(k, 4096);
    FAILS_WITH(vmma_alloc(k, 10000), ENOMEM);
    CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "LIMIT is ENOMEM in errno, LIMIT in the last status");
    vmma_set_limit(k, 0);
    CHECK_EQ(vmma_test_address(k, p), 1, "a failed realloc leaves ptr as it was");
    errno = VT_ERRNO_MARK;
    vmma_free(k, &local);
    vmma_free(k, (char *)p + 1);
    vmma_test_address(k, &local);
    vmma_get_size(k, &local);
    vmma_find_client(c, &local);
    vmma_find_allocation(k, &local, NULL);
    vmma_set_guarantee(k, 8 << 20);
    vmma_get_max_alloc(k);
    vmma_check_context(c);
    vmma_trim_context(c);
    vmma_dump(c, 77, NULL, NULL);
    vt_fingerprint(c);
    q = vmma_realloc(k, p, 3000);
    q = vmma_realloc(k, q, 30);
    vmma_free(k, vmma_calloc(k, 10, 10));
    vmma_free(k, vmma_aligned_alloc(k, 64, 10));
    vmma_free(k, q);
    CHECK_EQ(vmma_free(k, q) < 0, 1, "a double free is refused");
    vmma_reset_client(k);
    vmma_delete_client(k);
    vmma_delete_client(k);
    vmma_delete_context(c);
    CHECK_EQ(errno, VT_ERRNO_MARK, "everything else leaves errno alone, refused frees included");
}

/* ---- the reason of a call is its own, whatever its error handler was refused ---- */

static void refuse_more(vmma_context_t *c, const vmma_error_t *e, void *user)
{
    (void)c;
    *(int *)user += 1;
    CHECK(vmma_alloc(e->client, 8) == NULL, "the error handler may not change the client");
    CHECK_ST(vmma_get_last_status(e->client), VMMA_E_BUSY, "which is BUSY");
}

static void reason_stays(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 2 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c);
    int told = 0, local = 0;
    vmma_set_error_handler(c, refuse_more, &told);
    char *p = (char *)vmma_alloc(k, 100);
    CHECK_PTR(vmma_realloc(k, &local, 10), NULL, "a stray realloc");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_OWNED, "the last status is why the realloc failed");
    CHECK_ST(vmma_free(k, p + 1), VMMA_E_NOT_START, "a free inside an allocation");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_START, "the last status is why the free failed");
    CHECK_EQ(told, 2, "the handler was told of both");
    vmma_delete_context(c);
}

int main(void)
{
    vt_begin("errors");
    null_handles();
    vt_each_mode(dead_client);
    creation_parameters();
    vt_each_mode(live_handle_invalid);
    struct_sizes();
    vt_each_mode(errno_rules);
    vt_each_mode(reason_stays);
    return vt_end();
}
