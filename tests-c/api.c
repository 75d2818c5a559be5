/*
 * api.c: the documented core, function by function: version, flags, status texts, creation, alloc, free,
 * questions about addresses. Public API only.
 */
#include "vt_ctx.h"

static void version_and_text(void)
{
    CHECK_EQ(vmma_get_version(), VMMA_VERSION, "vmma_get_version: VMMA_VERSION of the library");
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", VMMA_VERSION_MAJOR, VMMA_VERSION_MINOR, VMMA_VERSION_PATCH);
    CHECK(vmma_get_version_string() && strstr(vmma_get_version_string(), text),
          "vmma_get_version_string names the version");
    static const int some[] = {INT_MIN, -1000, -11, 1, 2, 99, INT_MAX};
    for (int s = -10; s <= 0; s++) {
        CHECK(vmma_status_string(s) && *vmma_status_string(s), "vmma_status_string: a text for every status");
        for (int t = -10; t < s; t++)
            CHECK(strcmp(vmma_status_string(s), vmma_status_string(t)) != 0, "status texts differ from each other");
        CHECK_PTR(vmma_status_string(s), vmma_status_string(s), "status texts are static");
    }
    for (unsigned i = 0; i < VT_COUNT(some); i++)
        CHECK(vmma_status_string(some[i]) != NULL, "vmma_status_string: never NULL");
}

static void flags(void)
{
    vmma_flags_t all = vmma_get_supported_flags();
    CHECK_EQ(all & ~VT_ALL_FLAGS, 0, "supported flags are defined flags");
    CHECK((all & VMMA_FLAG_THREADS) && (all & VMMA_FLAG_SHARED_CLIENTS),
          "flags before ZERO are no cargo features: always supported");
    for (unsigned bit = 0; bit < 32; bit++) {
        vmma_flags_t asked = (vmma_flags_t)1 << bit;
        vt_mode("flag bit %u", bit);
        vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 0, asked);
        CHECK(c != NULL, "a flag that is not accepted: creation still succeeds");
        vmma_flags_t want = asked & all;
        if (want & VMMA_FLAG_SHARED_CLIENTS)
            want |= VMMA_FLAG_THREADS;
        CHECK_EQ(vmma_get_accepted_flags(c), want, "vmma_get_accepted_flags tells what was accepted, implied ones included");
        CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context returns OK");
    }
    vt_mode("all bits");
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 0, 0xffffffffu);
    CHECK(c != NULL, "all 32 flag bits: creation succeeds");
    CHECK_EQ(vmma_get_accepted_flags(c), all, "all 32 flag bits: all supported ones are accepted");
    vmma_delete_context(c);
    vt_mode("-");
}

/* size 0 of alignment and block size mean the documented defaults */
static void defaults(void)
{
    static const size_t sizes[] = {20000, 65536, 100001, 300000, 1 << 20, (1 << 20) + 4096 + 1, 5 << 20, 64u << 20};
    static const size_t alignments[] = {0, 8, 16, 64, 256, 1024, 4096};
    for (unsigned a = 0; a < VT_COUNT(alignments); a++)
        for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
            size_t alignment = alignments[a] ? alignments[a] : 16;
            vt_mode("size %zu alignment %zu", sizes[i], alignments[a]);
            vt_block m = vt_block_open(sizes[i], 8);
            vmma_context_t *c = vmma_create_context(m.memory, m.size, alignments[a], 0, 0);
            size_t lowest = alignment * 16 > 1024 ? alignment * 16 : 1024;
            if (c) {
                size_t bs = vmma_get_block_size(c), free_blocks = vmma_get_free_blocks(c);
                CHECK_EQ(vmma_get_alignment(c), alignment, "alignment 0 = 16, else as given");
                CHECK(bs >= lowest && bs <= 65536 && (bs & (bs - 1)) == 0,
                      "block size 0: a power of two from max(1 KiB, 16 x alignment) to 64 KiB");
                CHECK(free_blocks >= 16 || bs == lowest, "block size 0: leaves at least 16 free blocks unless at its least");
                CHECK_EQ(vmma_get_total_size(c), m.size, "vmma_get_total_size: as given at creation");
                CHECK((unsigned char *)c >= m.memory && (unsigned char *)c < m.memory + m.size,
                      "the context lives inside the memory block");
                vmma_delete_context(c);
                if (bs < 65536) {
                    vmma_context_t *d = vmma_create_context(m.memory, m.size, alignments[a], bs * 2, 0);
                    CHECK(!d || vmma_get_free_blocks(d) < 16, "block size 0: the largest that leaves 16 free blocks");
                    vmma_delete_context(d);
                }
                vmma_context_t *e = vmma_create_context(m.memory, m.size, alignments[a], bs, 0);
                CHECK(e != NULL, "the chosen block size may be given as well");
                CHECK_EQ(vmma_get_free_blocks(e), free_blocks, "the chosen block size given: the same free blocks");
                vmma_delete_context(e);
            } else {
                errno = 0;
                c = vmma_create_context(m.memory, m.size, alignments[a], lowest, 0);
                CHECK(c == NULL, "block size 0 fails only when the least block size fails");
                CHECK_EQ(errno, ENOMEM, "no room for the records and one block: ENOMEM");
            }
            vt_block_close(&m);
        }
    vt_mode("-");
}

static void one_client(vmma_flags_t f)
{
    vt_block m = vt_block_open(2 << 20, 24);
    errno = VT_ERRNO_MARK;
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 16384, f);
    NEED(c != NULL, "a context over given memory");
    size_t bs = vmma_get_block_size(c), before = vmma_get_free_blocks(c);
    CHECK_EQ(bs, 16384, "block size as given");
    CHECK_EQ(vmma_get_client_count(c), 0, "no clients at first");
    vmma_client_t *k = vmma_create_client(c), *other = vmma_create_client(c);
    NEED(k && other, "two clients");
    CHECK_EQ(errno, VT_ERRNO_MARK, "success leaves errno alone");
    CHECK(k != other, "clients have handles of their own");
    CHECK_EQ(vmma_get_client_count(c), 2, "vmma_get_client_count counts");
    CHECK_PTR(vmma_get_context(k), c, "vmma_get_context is the context");
    CHECK((unsigned char *)k >= m.memory && (unsigned char *)k < m.memory + m.size, "a client lives inside the memory block");
    CHECK_EQ(vmma_get_free_blocks(c), before, "the first client slots are there from the start");
    CHECK_EQ(vmma_get_held_size(k), 0, "a new client holds nothing");
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "a new client's last status is OK");

    static const size_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 128, 129, 255, 256, 257, 500,
                                   512, 513, 1000, 1023, 1024, 1025, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193,
                                   16383, 16384, 16385, 20000, 32768, 32769, 50000, 65536, 100000};
    void *p[VT_COUNT(sizes)];
    size_t real[VT_COUNT(sizes)];
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        size_t n = sizes[i] ? sizes[i] : 1;
        vt_mode("%s size %zu", vt_flags_text(f), sizes[i]);
        errno = VT_ERRNO_MARK;
        p[i] = vmma_alloc(k, sizes[i]);
        NEED(p[i] != NULL, "vmma_alloc succeeds while there is room");
        CHECK_EQ(errno, VT_ERRNO_MARK, "vmma_alloc that succeeds leaves errno alone");
        CHECK((unsigned char *)p[i] >= m.memory && (unsigned char *)p[i] + n <= m.memory + m.size,
              "an allocation lies inside the memory block");
        CHECK(vt_aligned(p[i], 16), "an allocation is aligned to the context's alignment");
        if (!(f & VMMA_FLAG_PACKED)) {
            size_t natural = vt_pow2_above(n) < bs ? vt_pow2_above(n) : bs;
            CHECK(vt_aligned(p[i], natural), "without PACKED: aligned to the next power of two, at most block_size");
        }
        real[i] = vmma_get_size(k, p[i]);
        if (f & VMMA_FLAG_GUARD)
            CHECK_EQ(real[i], n, "with GUARD vmma_get_size is exactly the size asked for (0 means 1)");
        else
            CHECK(real[i] >= n, "vmma_get_size is at least the size asked for");
        CHECK_EQ(vmma_get_good_size(c, sizes[i]), real[i], "vmma_get_good_size: what vmma_get_size says of an allocation of that size");
        vt_fill(p[i], real[i], i + 1);
    }
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        unsigned char *b = (unsigned char *)p[i];
        size_t found = 0;
        vt_mode("%s size %zu", vt_flags_text(f), sizes[i]);
        CHECK(vt_filled(b, real[i], i + 1), "all of [ptr, ptr + vmma_get_size) may be used");
        const size_t inside[] = {0, 1, real[i] / 2, real[i] - 1};
        for (unsigned j = 0; j < VT_COUNT(inside); j++) {
            if (inside[j] >= real[i])
                continue;
            CHECK_EQ(vmma_test_address(k, b + inside[j]), 1, "vmma_test_address: 1 inside a live allocation");
            CHECK_EQ(vmma_test_address(other, b + inside[j]), 0, "vmma_test_address: 0 for another client's memory");
            CHECK_PTR(vmma_find_client(c, b + inside[j]), k, "vmma_find_client: the owner of the live allocation");
            CHECK_PTR(vmma_find_allocation(k, b + inside[j], &found), b, "vmma_find_allocation: the start");
            CHECK_EQ(found, real[i], "vmma_find_allocation: the size");
            CHECK_PTR(vmma_find_allocation(k, b + inside[j], NULL), b, "vmma_find_allocation: size may be NULL");
            CHECK_PTR(vmma_find_allocation(other, b + inside[j], NULL), NULL, "vmma_find_allocation: NULL for another client");
            if (inside[j])
                CHECK_EQ(vmma_get_size(k, b + inside[j]), 0, "vmma_get_size: 0 if not the start");
        }
        CHECK_EQ(vmma_get_size(other, b), 0, "vmma_get_size: 0 for another client's allocation");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context: OK");
    CHECK_ST(vmma_check_client(k), VMMA_OK, "vmma_check_client: OK");
    static const uintptr_t wild[] = {0, 1, 8, 4096, UINTPTR_MAX, UINTPTR_MAX - 7, (uintptr_t)1 << 47, (uintptr_t)1 << 63};
    for (unsigned i = 0; i < VT_COUNT(wild); i++) {
        CHECK_EQ(vmma_test_address(k, (void *)wild[i]), 0, "vmma_test_address: any address may be asked");
        CHECK_EQ(vmma_get_size(k, (void *)wild[i]), 0, "vmma_get_size: 0 for a wild address");
        CHECK_PTR(vmma_find_client(c, (void *)wild[i]), NULL, "vmma_find_client: NULL for a wild address");
        CHECK_PTR(vmma_find_allocation(k, (void *)wild[i], NULL), NULL, "vmma_find_allocation: NULL for a wild address");
    }
    CHECK_EQ(vmma_test_address(k, m.memory - 1) + vmma_test_address(k, m.memory + m.size), 0, "just outside the memory block: 0");
    errno = VT_ERRNO_MARK;
    CHECK_ST(vmma_free(k, NULL), VMMA_OK, "vmma_free: NULL is OK");
    size_t live = VT_COUNT(sizes);
    CHECK_EQ(vt_client_stats(k).live_count, live, "vmma_free(NULL) does nothing");
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        unsigned j = (i * 7 + 3) % VT_COUNT(sizes);
        CHECK(vt_filled(p[j], real[j], j + 1), "contents stay until the free");
        CHECK_ST(vmma_free(k, p[j]), VMMA_OK, "vmma_free of a live allocation is OK");
        CHECK_EQ(vmma_test_address(k, p[j]), 0, "vmma_test_address: 0 once freed");
        CHECK_EQ(vmma_get_size(k, p[j]), 0, "vmma_get_size: 0 once freed");
        CHECK_PTR(vmma_find_client(c, p[j]), NULL, "vmma_find_client: NULL once freed");
        CHECK_PTR(vmma_find_allocation(k, p[j], NULL), NULL, "vmma_find_allocation: NULL once freed");
    }
    CHECK_EQ(errno, VT_ERRNO_MARK, "vmma_free leaves errno alone");
    CHECK_EQ(vt_client_stats(k).live_count, 0, "nothing is live at the end");
    CHECK_EQ(vmma_populate_cached_blocks(c) * bs, vmma_get_held_size(k) + vmma_get_held_size(other),
             "vmma_populate_cached_blocks: blocks kept although nothing in them is live");
    if ((f & VMMA_FLAG_NO_CACHE) && !(f & VMMA_FLAG_QUARANTINE))
        CHECK_EQ(vmma_populate_cached_blocks(c), 0, "vmma_populate_cached_blocks: 0 with NO_CACHE");
    CHECK_ST(vmma_trim_context(c), VMMA_OK, "vmma_trim_context: OK");
    CHECK_EQ(vmma_populate_cached_blocks(c), 0, "vmma_trim_context gives the cached blocks back");
    CHECK_EQ(vmma_get_free_blocks(c), before, "after trim all blocks are free again");
    CHECK_ST(vmma_get_last_status(k), VMMA_OK, "no failure: the last status is OK");
    CHECK_ST(vmma_delete_client(k), VMMA_OK, "vmma_delete_client: OK");
    CHECK_EQ(vmma_get_client_count(c), 1, "a deleted client is not counted");
    CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context: with all its clients");
    vt_block_close(&m);
}

static void mapped(void)
{
    static const size_t sizes[] = {65536, 65537, 100001, 1 << 20, 64u << 20};
    for (unsigned i = 0; i < VT_COUNT(sizes); i++) {
        vt_mode("mapped %zu", sizes[i]);
        vmma_context_t *c = vmma_create_context(NULL, sizes[i], 0, 0, 0);
        NEED(c != NULL, "memory NULL: the library maps it itself");
        CHECK_EQ(vmma_get_total_size(c), sizes[i], "mapped: total size as given");
        vmma_client_t *k = vmma_create_client(c);
        void *p = vmma_alloc(k, 1000);
        CHECK(p != NULL, "mapped: memory can be allocated");
        vt_fill(p, 1000, 1);
        CHECK(vt_filled(p, 1000, 1), "mapped: memory can be used");
        void *page = (void *)((uintptr_t)c & ~(uintptr_t)4095);
        unsigned char resident;
        CHECK_EQ(mincore(page, 4096, &resident), 0, "mapped: the context's page is there");
        CHECK_ST(vmma_delete_context(c), VMMA_OK, "mapped: vmma_delete_context OK");
        CHECK(mincore(page, 4096, &resident) != 0 && errno == ENOMEM, "mapped: vmma_delete_context unmaps the memory");
    }
    vt_mode("-");
}

int main(void)
{
    vt_begin("api");
    version_and_text();
    flags();
    defaults();
    vt_each_mode(one_client);
    mapped();
    return vt_end();
}
