/*
 * api_life.c: life cycle functions as documented: calloc, aligned_alloc, trim, good sizes, names, user data,
 * last status, peaks and counters. Public API only.
 */
#include "vt_ctx.h"

static vmma_context_t *open_context(vmma_flags_t f, size_t alignment, size_t block_size)
{
    vmma_context_t *c = vmma_create_context(NULL, 4 << 20, alignment, block_size, f);
    if (!c)
        CHECK(c != NULL, "a mapped context of 4 MiB");
    return c;
}

static void calloc_zeroes(vmma_flags_t f)
{
    vmma_context_t *c = open_context(f, 0, 16384);
    vmma_client_t *k = vmma_create_client(c);
    static const size_t counts[] = {0, 1, 3, 10, 100, 1000, 7000};
    static const size_t sizes[] = {0, 1, 8, 24, 100, 257};
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < VT_COUNT(counts); i++)
            for (unsigned j = 0; j < VT_COUNT(sizes); j++) {
                size_t n = counts[i] * sizes[j];
                void *dirty = vmma_alloc(k, n);
                if (dirty)
                    memset(dirty, 0xee, n ? n : 1);
                vmma_free(k, dirty);
                unsigned char *p = (unsigned char *)vmma_calloc(k, counts[i], sizes[j]);
                NEED(p != NULL, "vmma_calloc succeeds while there is room");
                CHECK(vt_all_zero(p, n), "vmma_calloc: zeroed");
                CHECK(vmma_get_size(k, p) >= (n ? n : 1), "vmma_calloc: count x size bytes");
                CHECK_ST(vmma_free(k, p), VMMA_OK, "vmma_calloc's memory is freed like any other");
            }
    static const size_t big[][2] = {{SIZE_MAX, 2}, {2, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}, {(size_t)1 << 32, (size_t)1 << 32},
                                    {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX / 3 + 1, 3}, {((size_t)1 << 32) + 1, (size_t)1 << 32}};
    for (unsigned i = 0; i < VT_COUNT(big); i++) {
        errno = 0;
        CHECK(vmma_calloc(k, big[i][0], big[i][1]) == NULL, "vmma_calloc: a product above SIZE_MAX fails");
        CHECK_EQ(errno, ENOMEM, "vmma_calloc: a product above SIZE_MAX: ENOMEM");
    }
    vmma_delete_context(c);
}

static void aligned(vmma_flags_t f)
{
    static const size_t block_sizes[] = {1024, 4096, 65536};
    for (unsigned b = 0; b < VT_COUNT(block_sizes); b++) {
        size_t bs = block_sizes[b];
        vmma_context_t *c = open_context(f, 8, bs);
        vmma_client_t *k = vmma_create_client(c);
        size_t before = vmma_get_free_blocks(c);
        void *kept[512];
        size_t n_kept = 0;
        for (size_t a = 1; a <= bs; a *= 2) {
            const size_t sizes[] = {0, 1, a / 2 + 1, a, a + 1, 24, 100, 3 * a + 5, bs - 1, bs, bs + 1, 2 * bs + 100};
            for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
                vt_mode("%s block %zu alignment %zu size %zu", vt_flags_text(f), bs, a, sizes[i]);
                unsigned char *p = (unsigned char *)vmma_aligned_alloc(k, a, sizes[i]);
                NEED(p != NULL, "vmma_aligned_alloc: every power of two up to block_size, any size");
                CHECK(vt_aligned(p, a), "vmma_aligned_alloc: aligned as asked");
                CHECK(vt_aligned(p, 8), "vmma_aligned_alloc: aligned to the context's alignment at least");
                size_t real = vmma_get_size(k, p), n = sizes[i] ? sizes[i] : 1;
                CHECK(real >= n, "vmma_aligned_alloc: as large as asked");
                if (f & VMMA_FLAG_GUARD)
                    CHECK_EQ(real, n, "vmma_aligned_alloc with GUARD: exactly as large as asked");
                vt_fill(p, real, (uint32_t)(a + i));
                CHECK(vt_filled(p, real, (uint32_t)(a + i)), "vmma_aligned_alloc: all of vmma_get_size may be used");
                CHECK_EQ(vmma_get_size(k, p + 8) + vmma_test_address(k, p + real - 1), 1, "vmma_aligned_alloc: answers like any allocation");
                if (n_kept < VT_COUNT(kept) && real <= 4096)
                    kept[n_kept++] = p;
                else
                    CHECK_ST(vmma_free(k, p), VMMA_OK, "vmma_aligned_alloc's memory is freed like any other");
            }
        }
        static const size_t bad[] = {0, 3, 5, 6, 7, 9, 12, 24, 100, 1000, SIZE_MAX, SIZE_MAX - 7};
        for (unsigned i = 0; i <= VT_COUNT(bad); i++) {
            size_t a = i < VT_COUNT(bad) ? bad[i] : bs * 2;
            vt_mode("%s block %zu alignment %zu", vt_flags_text(f), bs, a);
            errno = 0;
            CHECK(vmma_aligned_alloc(k, a, 64) == NULL, "vmma_aligned_alloc: other alignments fail");
            CHECK_EQ(errno, EINVAL, "vmma_aligned_alloc: other alignments: EINVAL");
            CHECK_ST(vmma_get_last_status(k), VMMA_E_INVALID, "vmma_aligned_alloc: other alignments: last status INVALID");
        }
        CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after aligned allocations");
        while (n_kept)
            CHECK_ST(vmma_free(k, kept[--n_kept]), VMMA_OK, "freeing aligned allocations");
        vmma_trim_client(k);
        CHECK_EQ(vmma_get_free_blocks(c), before, "nothing is lost by aligned allocations");
        vmma_delete_context(c);
    }
    vt_mode("-");
}

static size_t power_from(size_t n)
{
    size_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* The table of docs/api.md: what a size is rounded up to. */
static size_t by_table(size_t n, size_t unit, size_t block, size_t alignment, int packed)
{
    size_t power = power_from(n), units = (n + unit - 1) / unit;
    if (packed)
        return (n + alignment - 1) / alignment * alignment;
    if (n > block)
        return units * unit;
    if (n <= 2 * unit || block > 64 * unit)
        return power < 16 ? (alignment < 16 ? 16 : alignment) : power < alignment ? alignment : power;
    if (n > 32 * unit)
        return (units + 7) / 8 * 8 * unit;
    return n <= power / 4 * 3 ? power / 4 * 3 : power;
}

static void good_sizes_by_the_table(vmma_flags_t f)
{
    int packed = (f & VMMA_FLAG_PACKED) != 0;
    if (f & VMMA_FLAG_GUARD)
        return;
    for (size_t block = 8192; block <= 262144; block *= 2)
        for (size_t alignment = 8; alignment <= 1024 && alignment * 16 <= block; alignment *= 2) {
            vmma_context_t *c = vmma_create_context(NULL, 12 * block, alignment, block, f);
            NEED(c != NULL, "a context");
            vt_mode("%s block %zu alignment %zu", vt_flags_text(f), block, alignment);
            size_t wrong = 0, first = 0;
            for (size_t n = 1; n <= 2 * block + 3000; n += n < 3000 ? 1 : 61)
                if (vmma_get_good_size(c, n) != by_table(n, 1024, block, alignment, packed) && !wrong++)
                    first = n;
            CHECK(wrong == 0, "vmma_get_good_size is what the table in docs/api.md says");
            if (wrong)
                printf("  first for %zu: %zu, not %zu\n", first, vmma_get_good_size(c, first), by_table(first, 1024, block, alignment, packed));
            vmma_delete_context(c);
        }
}

static void good_size(vmma_flags_t f)
{
    vmma_context_t *c = open_context(f, 8, 8192);
    vmma_client_t *k = vmma_create_client(c);
    size_t step = (size_t)vt_loops(1, 13);
    for (size_t n = 0; n < 40000; n += n < 2100 ? step : 331) {
        void *p = vmma_alloc(k, n);
        NEED(p != NULL, "vmma_alloc for the good size");
        size_t real = vmma_get_size(k, p);
        if (vmma_get_good_size(c, n) != real)
            vt_mode("%s size %zu", vt_flags_text(f), n);
        CHECK_EQ(vmma_get_good_size(c, n), real, "vmma_get_good_size equals vmma_get_size of such an allocation");
        vmma_free(k, p);
    }
    CHECK_EQ(vmma_get_good_size(c, SIZE_MAX), 0, "vmma_get_good_size: 0 if it can never succeed (SIZE_MAX)");
    CHECK_EQ(vmma_get_good_size(c, 8 << 20), 0, "vmma_get_good_size: 0 if larger than the context");
    vmma_trim_client(k);
    size_t most = vmma_get_free_blocks(c) * 8192;
    CHECK_EQ(vmma_get_good_size(c, vmma_get_total_blocks(c) * 8192 + 1), 0, "vmma_get_good_size: 0 above all blocks");
    CHECK(vmma_get_good_size(c, most - 8192) >= most - 8192, "vmma_get_good_size: not 0 for what an empty context can serve");
    vmma_delete_context(c);
}

static void names(void)
{
    vmma_context_t *c = open_context(0, 0, 0);
    vmma_client_t *k = vmma_create_client(c);
    CHECK(strcmp(vmma_get_name(k), "") == 0, "vmma_get_name: \"\" if unset");
    char own[64] = "interpreter";
    CHECK_ST(vmma_set_name(k, own), VMMA_OK, "vmma_set_name: OK");
    strcpy(own, "changed");
    CHECK(strcmp(vmma_get_name(k), "interpreter") == 0, "vmma_set_name: copied");
    CHECK_ST(vmma_set_name(k, NULL), VMMA_OK, "vmma_set_name(NULL): OK");
    CHECK(strcmp(vmma_get_name(k), "") == 0, "a NULL name clears it");
    CHECK_ST(vmma_set_name(k, ""), VMMA_OK, "vmma_set_name(\"\"): OK");
    CHECK(strcmp(vmma_get_name(k), "") == 0, "an empty name is empty");
    /* 31 bytes fit; a character that does not fit as a whole is left out */
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (unsigned i = 0; i < VT_COUNT(characters); i++)
        for (unsigned lead = 0; lead < 40; lead++) {
            char name[300] = "";
            memset(name, 'x', lead);
            name[lead] = 0;
            for (int n = 0; n < 20; n++)
                strcat(name, characters[i]);
            size_t unit = strlen(characters[i]), want = lead >= 31 ? 31 : lead + (31 - lead) / unit * unit;
            size_t whole = strlen(name);
            if (want > whole)
                want = whole;
            vt_mode("name of %u + 20 characters of %zu bytes", lead, unit);
            CHECK_ST(vmma_set_name(k, name), VMMA_OK, "a long name is OK");
            CHECK_EQ(strlen(vmma_get_name(k)), want, "a name is cut to 31 bytes at a UTF-8 boundary");
            CHECK(strncmp(vmma_get_name(k), name, strlen(vmma_get_name(k))) == 0, "a cut name is the beginning of what was given");
        }
    char bad[64];
    memset(bad, 0x80, sizeof bad);
    bad[63] = 0;
    CHECK_ST(vmma_set_name(k, bad), VMMA_OK, "a name of any bytes is taken");
    CHECK(strlen(vmma_get_name(k)) <= 31, "a name of continuation bytes only: at most 31 bytes");
    CHECK(vmma_get_user_data(k) == NULL, "user data is NULL at first");
    vmma_set_user_data(k, own);
    CHECK_PTR(vmma_get_user_data(k), own, "user data is kept");
    vmma_set_user_data(k, NULL);
    CHECK(vmma_get_user_data(k) == NULL, "user data can be cleared");
    /* a new client in an old slot starts afresh */
    vmma_set_name(k, "old");
    vmma_set_user_data(k, own);
    vmma_set_limit(k, 1 << 20);
    vmma_set_guarantee(k, 1 << 16);
    CHECK(vmma_alloc(k, SIZE_MAX) == NULL, "an impossible request fails");
    vmma_delete_client(k);
    for (int i = 0; i < 8; i++) {
        k = vmma_create_client(c);
        CHECK(strcmp(vmma_get_name(k), "") == 0 && vmma_get_user_data(k) == NULL && vmma_get_limit(k) == 0 &&
                  vmma_get_guarantee(k) == 0 && vmma_get_last_status(k) == VMMA_OK && vmma_get_held_size(k) == 0 &&
                  vmma_get_peak_held_size(k) == 0,
              "a new client has no name, data, limit, guarantee, status or peak of an earlier one");
    }
    vmma_delete_context(c);
    vt_mode("-");
}

static void getters(vmma_flags_t f)
{
    vt_block m = vt_block_open((1 << 20) + 333, 40);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 32, 4096, f);
    NEED(c != NULL, "a context");
    size_t total = vmma_get_total_blocks(c), fresh = vmma_get_free_blocks(c);
    CHECK_EQ(vmma_get_alignment(c), 32, "vmma_get_alignment as given");
    CHECK(total >= fresh && total * 4096 <= m.size, "total blocks: at most what the memory holds");
    CHECK_EQ(vmma_get_peak_blocks(c), 0, "peak blocks: 0 while nothing was ever held");
    vmma_client_t *a = vmma_create_client(c), *b = vmma_create_client(c);
    size_t records = total - vmma_get_free_blocks(c), most = 0, most_a = 0;
    void *p[200];
    vt_random r = {5};
    for (int i = 0; i < 200; i++) {
        p[i] = vmma_alloc(i % 2 ? a : b, 1 + vt_below(&r, i % 10 ? 900 : 9000));
        size_t held = (vmma_get_held_size(a) + vmma_get_held_size(b)) / 4096;
        if (held > most)
            most = held;
        if (vmma_get_held_size(a) > most_a)
            most_a = vmma_get_held_size(a);
        CHECK_EQ(vmma_get_held_size(a) % 4096, 0, "held size: block_size x blocks held");
        CHECK_EQ(vmma_get_free_blocks(c) + held + records, total, "total = free + held + records'");
        CHECK(vmma_get_peak_held_size(a) >= vmma_get_held_size(a), "peak held is at least held");
        CHECK(vmma_get_peak_blocks(c) >= held, "peak blocks is at least held");
    }
    CHECK_EQ(vmma_get_total_blocks(c), total, "total blocks never changes");
    CHECK_EQ(vmma_get_peak_blocks(c), most, "peak blocks: most ever held by all clients together");
    CHECK_EQ(vmma_get_peak_held_size(a), most_a, "peak held size: most ever held by the client");
    for (int i = 0; i < 200; i++)
        vmma_free(i % 2 ? a : b, p[i]);
    vmma_trim_client(a);
    vmma_trim_client(b);
    CHECK_EQ(vmma_get_held_size(a) + vmma_get_held_size(b), 0, "vmma_trim_client: all empty blocks go back");
    CHECK_EQ(vmma_get_free_blocks(c), fresh, "all blocks are free again");
    CHECK_EQ(vmma_get_peak_blocks(c), most, "peak blocks stays");
    CHECK_EQ(vmma_get_peak_held_size(a), most_a, "peak held size stays");
    vmma_delete_context(c);
    vt_block_close(&m);
}

static void last_status(vmma_flags_t f)
{
    vmma_context_t *c = open_context(f, 0, 4096);
    vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c);
    char *p = (char *)vmma_alloc(k, 100);
    int local = 0;
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "last status: OK if no failure since creation");
    vmma_free(k, &local);
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_OWNED, "last status: NOT_OWNED after such a free");
    vmma_free(k, p + 16);
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_START, "last status: the newest failure");
    void *q = vmma_alloc(k, 10);
    CHECK(q != NULL, "an allocation after failures");
    vmma_free(k, q);
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NOT_START, "last status: success does not clear it");
    vmma_set_limit(k, 4096);
    CHECK(vmma_alloc(k, 100000) == NULL, "a request above the limit fails");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "last status: LIMIT");
    vmma_set_limit(k, 0);
    CHECK(vmma_alloc(k, 8 << 20) == NULL, "a request above the context fails");
    CHECK_ST(vmma_get_last_status(k), VMMA_E_NO_MEMORY, "last status: NO_MEMORY");
    CHECK_ST(vmma_get_last_status(o), VMMA_OK, "another client's last status is its own");
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client: OK");
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "last status: OK again after reset");
    vmma_delete_context(c);
}

int main(void)
{
    vt_begin("api_life");
    vt_each_mode(calloc_zeroes);
    vt_each_mode(aligned);
    vt_each_mode(good_size);
    vt_each_mode(good_sizes_by_the_table);
    names();
    vt_each_mode(getters);
    vt_each_mode(last_status);
    return vt_end();
}
