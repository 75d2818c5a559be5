/*
 * limits_of_sizes.c: request sizes around every boundary and near SIZE_MAX, contexts of every geometry, from
 * 8 KiB to a terabyte of address space, given memory at odd addresses. Public API only.
 */
#include "vt_ctx.h"

/* Allocates one request in an otherwise empty context, checks everything about it, frees it. */
static void one_size(vmma_context_t *c, vmma_client_t *k, size_t n, vmma_flags_t f)
{
    size_t bs = vmma_get_block_size(c), good = vmma_get_good_size(c, n), alignment = vmma_get_alignment(c);
    size_t real_n = n ? n : 1;
    errno = 0;
    unsigned char *p = (unsigned char *)vmma_alloc(k, n);
    if (!p) {
        vt_mode("%s block %zu size %zu", vt_flags_text(f), bs, n);
        CHECK_EQ(errno, ENOMEM, "a request that fails: ENOMEM");
        CHECK_ST(vmma_get_last_status(k), VMMA_E_NO_MEMORY, "a request that the empty context cannot serve: NO_MEMORY");
        CHECK_EQ(good, 0, "vmma_get_good_size: 0 for what the empty context cannot serve");
        return;
    }
    size_t real = vmma_get_size(k, p), natural = vt_pow2_above(real_n) < bs ? vt_pow2_above(real_n) : bs;
    if (f & VMMA_FLAG_PACKED)
        natural = alignment;
    if (natural < alignment)
        natural = alignment;
    if (real < real_n || good != real || !vt_aligned(p, natural))
        vt_mode("%s block %zu size %zu", vt_flags_text(f), bs, n);
    CHECK(real >= real_n, "an allocation is at least as large as asked");
    CHECK_EQ(good, real, "vmma_get_good_size tells the size");
    CHECK(vt_aligned(p, natural), "aligned to the next power of two (PACKED: to the context's alignment)");
    p[0] = 1;
    p[real - 1] = 2;
    CHECK(vmma_test_address(k, p) == 1 && vmma_test_address(k, p + real - 1) == 1, "first and last byte are live");
    CHECK_EQ(vmma_test_address(k, p + real) + vmma_test_address(k, p - 1), 0, "the bytes around a lone allocation are not live");
    CHECK_ST(vmma_free(k, p), VMMA_OK, "it is freed");
}

static void around(size_t bs, vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, bs * 40 + (1 << 20), 0, bs, f);
    NEED(c != NULL, "a context of this geometry");
    vmma_client_t *k = vmma_create_client(c);
    size_t blocks = vmma_get_free_blocks(c);
    for (size_t p2 = 1; p2 && p2 <= bs * 64; p2 *= 2)
        for (int d = -2; d <= 2; d++)
            for (size_t part = 4; part < 8; part++) /* quarter steps too: PACKED has sizes there */
                one_size(c, k, p2 / 4 * part + (size_t)d < (size_t)1 << 60 ? p2 / 4 * part + (size_t)d : 0, f);
    for (size_t n = 1; n <= blocks + 2; n += blocks > 64 ? blocks / 50 : 1)
        for (int d = -1; d <= 1; d++)
            one_size(c, k, n * bs + (size_t)d, f);
    vmma_trim_client(k);
    CHECK_EQ(vmma_get_free_blocks(c), blocks, "all blocks are free again");
    vt_mode("%s block %zu", vt_flags_text(f), bs);
    for (size_t n = 0; n < 4200; n++) {
        const size_t huge[] = {SIZE_MAX - n, SIZE_MAX - n * bs, SIZE_MAX / 2 - n, SIZE_MAX / 2 + n};
        for (unsigned i = 0; i < VT_COUNT(huge); i++) {
            errno = 0;
            CHECK(vmma_alloc(k, huge[i]) == NULL, "sizes near SIZE_MAX fail cleanly");
            CHECK_EQ(errno, ENOMEM, "sizes near SIZE_MAX: ENOMEM");
        }
        if (n > 70)
            n += 97;
    }
    void *p = vmma_alloc(k, 100);
    NEED(p != NULL, "an allocation after impossible ones");
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 8, SIZE_MAX - 15, SIZE_MAX - 63, SIZE_MAX - 4095, SIZE_MAX / 2, SIZE_MAX / 2 + 1};
    for (unsigned i = 0; i < VT_COUNT(huge); i++) {
        CHECK(vmma_realloc(k, p, huge[i]) == NULL, "vmma_realloc near SIZE_MAX fails cleanly");
        CHECK(vmma_calloc(k, huge[i], 1) == NULL && vmma_calloc(k, 1, huge[i]) == NULL, "vmma_calloc near SIZE_MAX fails cleanly");
        CHECK(vmma_aligned_alloc(k, bs, huge[i]) == NULL, "vmma_aligned_alloc near SIZE_MAX fails cleanly");
        CHECK_EQ(vmma_get_good_size(c, huge[i]), 0, "vmma_get_good_size near SIZE_MAX: 0");
        CHECK(vmma_set_limit(k, huge[i]) == VMMA_OK && vmma_get_limit(k) == huge[i], "a limit near SIZE_MAX is kept as set");
        CHECK(vmma_alloc(k, 64) != NULL, "a limit near SIZE_MAX does not wrap");
        CHECK_ST(vmma_set_limit(k, 0), VMMA_OK, "no limit");
        CHECK_ST(vmma_set_guarantee(k, huge[i]), VMMA_E_NO_MEMORY, "a guarantee near SIZE_MAX: NO_MEMORY");
    }
    CHECK_EQ(vmma_test_address(k, p), 1, "a failed realloc leaves ptr as it was");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context: OK");
    vmma_delete_context(c);
    vt_mode("-");
}

/* every legal alignment and block size: fill the context with small and block-sized requests */
static void geometry(size_t alignment, size_t bs, vmma_flags_t f)
{
    size_t usable = bs * (bs <= 65536 ? 5 : 1), size = vmma_get_required_size(usable, alignment, bs, f);
    vt_mode("%s alignment %zu block %zu", vt_flags_text(f), alignment, bs);
    NEED(size > usable, "vmma_get_required_size for every legal geometry");
    vt_block m = vt_block_open(size, (alignment * 3 + 1) % 4096);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, alignment, bs, f);
    NEED(c != NULL, "a context of the required size");
    CHECK(vmma_get_free_blocks(c) * bs >= usable, "it has the blocks asked for");
    vmma_client_t *k = vmma_create_client(c);
    size_t fresh = vmma_get_free_blocks(c), n = 0, small = alignment > 64 ? alignment : 64;
    unsigned char *p;
    while ((p = (unsigned char *)vmma_alloc(k, small)) != NULL) {
        n++;
        CHECK(p >= m.memory && p + small <= m.memory + m.size && vt_aligned(p, alignment), "inside the block and aligned");
        memset(p, (int)n, small);
        if (small * n > fresh * bs)
            break;
    }
    CHECK_EQ(vmma_get_held_size(k), fresh * bs, "a client can hold all free blocks");
    size_t slack = f & VMMA_FLAG_GUARD ? 4 : 1;
    CHECK(n * small * slack >= fresh * bs / 10 * 9, "small requests fill the blocks");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context when full");
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client");
    vmma_trim_client(k);
    CHECK_EQ(vmma_get_free_blocks(c), fresh, "all free after reset");
    if (!(f & VMMA_FLAG_GUARD)) {
        for (n = 0; (p = (unsigned char *)vmma_alloc(k, bs)) != NULL; n++) {
            CHECK(vt_aligned(p, bs) || (f & VMMA_FLAG_PACKED), "a request of block_size is aligned to block_size");
            memset(p, 1, bs);
        }
        CHECK_EQ(n, fresh, "a block serves a request of block_size");
    }
    vmma_delete_context(c);
    vt_block_close(&m);
}

/* every small size of memory: creation succeeds or fails cleanly, and is monotonic enough to be used */
static void tiny(void)
{
    vt_random r = {77};
    for (size_t size = 0; size < 24000; size += 1 + vt_below(&r, (size_t)vt_loops(40, 400))) {
        size_t offset = vt_below(&r, 4096);
        vt_mode("given %zu bytes at offset %zu", size, offset);
        vt_block m = vt_block_open(size, offset);
        errno = 0;
        vmma_context_t *c = vmma_create_context(m.memory, size, 8, 1024, 0);
        if (c) {
            CHECK(vmma_get_free_blocks(c) >= 1, "a context has at least one block");
            vmma_client_t *k = vmma_create_client(c);
            size_t n = 0;
            void *p;
            while ((p = vmma_alloc(k, 48)) != NULL) {
                memset(p, 0x11, 48);
                n++;
            }
            CHECK(n >= vmma_get_free_blocks(c), "something can be allocated");
            CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context of a tiny context");
            CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context");
        } else {
            CHECK_EQ(errno, ENOMEM, "too small: ENOMEM");
            CHECK(size < vmma_get_required_size(1, 8, 1024, 0), "a size of vmma_get_required_size(1) and above is never too small");
        }
        vt_block_close(&m);
    }
    vt_mode("8 KiB");
    for (size_t offset = 0; offset < 1024; offset += 8) {
        vt_block m = vt_block_open(8192, offset);
        vmma_context_t *c = vmma_create_context(m.memory, 8192, 8, 1024, 0);
        CHECK(c != NULL, "a context of 8 KiB with small blocks, at any address");
        vmma_delete_context(c);
        vt_block_close(&m);
    }
    vt_mode("64 KiB");
    for (size_t offset = 0; offset < 4096; offset += 56) {
        vt_block m = vt_block_open(65536, offset);
        vmma_context_t *c = vmma_create_context(m.memory, 65536, 0, 0, 0);
        CHECK(c != NULL && vmma_get_free_blocks(c) >= 16, "a context of 64 KiB with default parameters, at any address");
        vmma_delete_context(c);
        vt_block_close(&m);
    }
    vt_mode("-");
}

static size_t resident(void)
{
    long total = 0, here = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &total, &here) != 2)
        here = 0;
    fclose(file);
    return (size_t)here * 4096;
}

static void large(size_t size, size_t bs, const char *name)
{
    size_t before = resident();
    vt_mode("%s block %zu", name, bs);
    errno = 0;
    vmma_context_t *c = vmma_create_context(NULL, size, 0, bs, 0);
    if (!c) {
        CHECK_EQ(errno, ENOMEM, "a mapping that is refused: ENOMEM");
        vt_skip(name, "the system refuses to map it");
        return;
    }
    bs = vmma_get_block_size(c);
    vmma_client_t *a = vmma_create_client(c), *b = vmma_create_client(c);
    size_t fresh = vmma_get_free_blocks(c);
    if (bs >= 65536)
        CHECK(fresh * bs > size / 1000 * 965, "records take at most 3.5 %");
    unsigned char *p = (unsigned char *)vmma_alloc(a, 1000);
    size_t grown = resident() - before;
    if (!vt_tool() && bs <= 65536)
        CHECK(resident() < before || grown < ((size_t)16 << 20), "mapped memory is committed lazily");
    /* runs of a few GiB at most: the time is for the tests, not for the records of a terabyte */
    size_t half = size / 2 < ((size_t)3 << 30) ? size / 2 : (size_t)3 << 30, quarter = half / 2;
    unsigned char *run = (unsigned char *)vmma_alloc(a, half);
    unsigned char *tail = (unsigned char *)vmma_alloc(b, quarter);
    NEED(p && run && tail, "small and huge requests succeed");
    CHECK(vt_aligned(run, bs) && vt_aligned(tail, bs), "runs are aligned to block_size");
    CHECK(tail + quarter <= run || run + half <= tail, "runs do not overlap");
    memset(p, 1, 1000);
    run[0] = 1;
    run[half - 1] = 2;
    tail[quarter - 1] = 3;
    CHECK_PTR(vmma_find_client(c, run + half / 3), a, "vmma_find_client in the middle of a huge run");
    CHECK_PTR(vmma_find_allocation(b, tail + quarter / 5, NULL), tail, "vmma_find_allocation in the middle of a huge run");
    CHECK_ST(vmma_free(a, tail), VMMA_E_NOT_OWNED, "another client's run is refused");
    CHECK_ST(vmma_free(b, tail + bs), VMMA_E_NOT_START, "the middle of a run is refused");
    CHECK(vmma_alloc(b, size) == NULL, "what is not there fails");
    CHECK_ST(vmma_free(a, run), VMMA_OK, "a huge run is freed");
    CHECK_ST(vmma_delete_client(b), VMMA_OK, "a client with a huge run is deleted");
    vmma_free(a, p);
    vmma_trim_client(a);
    CHECK_EQ(vmma_get_free_blocks(c), fresh, "all blocks are free again");
    size_t all = vmma_get_max_alloc(a);
    CHECK_EQ(all, fresh * bs, "one largest block again: a client can allocate all of it");
    if (size <= (size_t)1 << 30) {
        run = (unsigned char *)vmma_alloc(a, all);
        CHECK(run != NULL, "vmma_get_max_alloc bytes succeed");
        vmma_free(a, run);
    }
    CHECK_ST(vmma_delete_context(c), VMMA_OK, "a large context is deleted");
    vt_mode("-");
}

int main(void)
{
    static const vmma_flags_t kinds[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_GUARD, VMMA_FLAG_GUARD | VMMA_FLAG_PACKED};
    vt_begin("limits_of_sizes");
    for (unsigned i = 0; i < VT_COUNT(kinds); i++) {
        if (!vt_has(kinds[i])) {
            vt_skip(vt_flags_text(kinds[i]), "not in this build");
            continue;
        }
        around(1024, kinds[i]);
        around(65536, kinds[i]);
        if (vt_loops(1, 0)) {
            around(4096, kinds[i]);
            around(1 << 20, kinds[i]);
        }
        for (size_t alignment = 8; alignment <= 4096; alignment *= vt_loops(2, 8))
            for (size_t bs = alignment * 16 < 1024 ? 1024 : alignment * 16; bs <= 262144; bs *= vt_loops(2, 4))
                geometry(alignment, bs, kinds[i]);
    }
    tiny();
    large((size_t)1 << 30, 0, "1 GiB of address space");
    large((size_t)1 << 30, 4096, "1 GiB of address space");
    if (vt_tool()) {
        vt_skip("64 GiB and more of address space", vt_tool());
    } else {
        large((size_t)64 << 30, 0, "64 GiB of address space");
        large((size_t)100 << 30, 65536, "100 GiB of address space");
        large((size_t)1 << 40, 0, "1 TiB of address space");
        large((size_t)1 << 40, (size_t)1 << 30, "1 TiB of address space");
    }
    return vt_end();
}
