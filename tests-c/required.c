/*
 * required.c: vmma_get_required_size is exact: the least size from which on every size works at every address.
 * Public API only.
 */
#include "vt_ctx.h"

/* Usable bytes right after creation at this address, 0 if creation fails. */
static size_t usable_at(void *memory, size_t size, size_t alignment, size_t bs, vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(memory, size, alignment, bs, f);
    if (!c)
        return 0;
    size_t usable = vmma_get_free_blocks(c) * vmma_get_block_size(c);
    vmma_delete_context(c);
    return usable;
}

static void exact(size_t usable, size_t alignment, size_t bs, vmma_flags_t f)
{
    vt_mode("%s usable %zu alignment %zu block %zu", vt_flags_text(f), usable, alignment, bs);
    size_t need = vmma_get_required_size(usable, alignment, bs, f);
    CHECK(need > usable, "vmma_get_required_size: more than the usable bytes");
    if (need <= usable)
        return;
    size_t period = bs ? bs : 65536, slack = 4 * period + 4096, smallest = SIZE_MAX, step = period <= 4096 ? 1 : period / 1024 - 1;
    if (vt_loops(1, 0) == 0)
        step = step * 16 + 7;
    vt_block m = vt_block_open(need + slack, 0);
    /* aligned base, so that offsets mean what they say */
    unsigned char *base = m.memory + (period - (uintptr_t)m.memory % period) % period;
    vt_block b = {0};
    if (base + period + need > m.memory + m.size) {
        b = vt_block_open(need + 3 * period, 0);
        base = b.memory + (period - (uintptr_t)b.memory % period) % period;
    }
    int fails = 0;
    size_t worst = 0;
    for (size_t offset = 0; offset < period; offset += step) {
        size_t got = usable_at(base + offset, need, alignment, bs, f);
        if (got < smallest) {
            smallest = got;
            worst = offset;
        }
        if (!fails && usable_at(base + offset, need - 1, alignment, bs, f) < usable)
            fails = 1;
    }
    /* the two addresses next to a boundary are the likeliest worst ones */
    const size_t edges[] = {1, 2, 7, 8, 9, 15, 16, 17, period - 1, period - 8, period - 15, period - 16, period / 2, period / 2 + 1};
    for (unsigned i = 0; i < VT_COUNT(edges); i++) {
        size_t got = usable_at(base + edges[i] % period, need, alignment, bs, f);
        if (got < smallest) {
            smallest = got;
            worst = edges[i];
        }
        if (!fails && usable_at(base + edges[i] % period, need - 1, alignment, bs, f) < usable)
            fails = 1;
    }
    /* need - 1 need not be the worst size itself only if a still smaller size fails while need - 1 works: excluded by "smallest" */
    CHECK(smallest >= usable, "the required size gives the usable bytes at every address");
    if (smallest < usable)
        printf("     worst offset %zu gives %zu of %zu\n", worst, smallest, usable);
    if (step == 1)
        CHECK(fails, "one byte less does not, at some address");
    vt_random r = {need};
    for (int i = 0; i < (int)vt_loops(60, 10); i++) {
        size_t more = need + vt_below(&r, slack / 2), offset = vt_below(&r, period);
        size_t room = (size_t)((b.memory ? b.memory + b.size : m.memory + m.size) - base) - offset;
        if (more > room)
            more = room;
        if (more >= need)
            CHECK(usable_at(base + offset, more, alignment, bs, f) >= usable, "every larger size does, at every address");
    }
    /* the first four client slots are included, and one client can hold it all */
    vmma_context_t *c = vmma_create_context(base + worst, need, alignment, bs, f);
    if (c) {
        vmma_client_t *k[4];
        for (int i = 0; i < 4; i++)
            k[i] = vmma_create_client(c);
        CHECK(k[0] && k[1] && k[2] && k[3], "the first four client slots are included");
        size_t real_bs = vmma_get_block_size(c);
        CHECK(vmma_get_free_blocks(c) * real_bs >= usable, "four clients later the usable bytes are still there");
        while (vmma_alloc(k[2], real_bs / 2))
            ;
        CHECK(vmma_get_held_size(k[2]) >= usable, "one client can hold the usable bytes");
        vmma_delete_context(c);
    }
    vt_block_close(&m);
    if (b.map)
        vt_block_close(&b);
    vt_mode("-");
}

int main(void)
{
    vt_begin("required");
    static const size_t usables[] = {1, 1000, 1024, 1025, 5000, 16384, 50000, 200000};
    static const vmma_flags_t kinds[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE, VMMA_FLAG_SHARED_CLIENTS, VT_ALL_FLAGS};
    for (unsigned k = 0; k < VT_COUNT(kinds); k++) {
        vmma_flags_t f = kinds[k] & vmma_get_supported_flags();
        for (unsigned u = 0; u < VT_COUNT(usables); u++) {
            exact(usables[u], 0, 1024, f);
            if (k == 0 || u % 3 == 0) {
                exact(usables[u], 8, 4096, f);
                exact(usables[u], 64, 1024, f);
                exact(usables[u], 8, 65536, f);
                exact(usables[u], 4096, 65536, f);
                exact(usables[u], 0, 0, f);
            }
        }
        if (vt_loops(1, 0))
            exact(4u << 20, 16, 65536, f);
    }
    CHECK_EQ(vmma_get_required_size(1000, 0, 0, 0xffff0000u), vmma_get_required_size(1000, 0, 0, 0),
             "vmma_get_required_size: flags that no version defines count for nothing");
    /* monotonic in what is asked */
    size_t last = 0;
    for (size_t usable = 1; usable < 300000; usable += 997) {
        size_t need = vmma_get_required_size(usable, 0, 4096, 0);
        CHECK(need >= last, "vmma_get_required_size: more usable bytes never need less");
        last = need;
    }
    return vt_end();
}
