/*
 * vt_ctx.h: helpers around contexts for the C test suite: memory blocks with canaries, patterns, a
 * fingerprint of everything that the public getters tell, a shadow map of who owns what, an error
 * recorder. Knows the public API only.
 */
#ifndef VT_CTX_H
#define VT_CTX_H

#include "vt.h"

/* ---- flags ---- */

#define VT_ALL_FLAGS 0x03ffu

static inline const char *vt_flags_text(vmma_flags_t flags)
{
    static const char *const names[] = {"THREADS", "SHARED_CLIENTS", "ZERO", "WIPE", "GUARD", "QUARANTINE",
                                        "PACKED", "NO_CACHE", "RELEASE", "ABORT"};
    static char text[2][128];
    static int turn;
    char *out = text[turn ^= 1];
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < VT_COUNT(names); i++)
        if (flags & (1u << i))
            used += (size_t)snprintf(out + used, sizeof text[0] - used, "%s%s", used ? "|" : "", names[i]);
    return used ? out : "default";
}

static inline int vt_has(vmma_flags_t flags)
{
    return (vmma_get_supported_flags() & flags) == flags;
}

/* The four modes that every misuse is tried in, and one with the hardening flags. */
static const vmma_flags_t vt_modes[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_SHARED_CLIENTS,
                                        VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE | VMMA_FLAG_WIPE};

static inline void vt_each_mode(void (*run)(vmma_flags_t))
{
    /* valgrind is slow: there each program runs in the default mode and in one other, not always the same */
    unsigned other = 1 + (unsigned)strlen(vt_program) % 4;
    int slow = vt_tool() && strcmp(vt_tool(), "valgrind") == 0;
    for (unsigned i = 0; i < VT_COUNT(vt_modes); i++) {
        if (slow && i != 0 && i != other)
            continue;
        if (!vt_has(vt_modes[i])) {
            vt_skip(vt_flags_text(vt_modes[i]), "not in this build");
            continue;
        }
        vt_mode("%s", vt_flags_text(vt_modes[i]));
        run(vt_modes[i]);
    }
    vt_mode("-");
}

/* ---- given memory, with canaries on both sides ---- */

typedef struct vt_block {
    unsigned char *map, *memory;
    size_t map_size, size;
} vt_block;

static inline unsigned char vt_canary(const unsigned char *at)
{
    return (unsigned char)(((uintptr_t)at * 37u) ^ 0xa5u);
}

static inline vt_block vt_block_open(size_t size, size_t offset)
{
    vt_block b;
    b.size = size;
    b.map_size = (4096 + offset + size + 8192) & ~(size_t)4095;
    b.map = (unsigned char *)mmap(NULL, b.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b.map == MAP_FAILED) {
        printf("FAIL %s: no memory for the test itself\n", vt_program);
        exit(2);
    }
    b.memory = b.map + 4096 + offset;
    for (unsigned char *p = b.map; p < b.memory; p++)
        *p = vt_canary(p);
    /* Given memory is garbage. Big blocks: the first part is enough, the rest stays untouched pages. */
    vt_random r = {size * 31 + offset};
    size_t dirty = size < ((size_t)4 << 20) ? size : ((size_t)4 << 20);
    for (size_t i = 0; i < dirty; i += 8) {
        uint64_t v = vt_next(&r);
        memcpy(b.memory + i, &v, dirty - i < 8 ? dirty - i : 8);
    }
    for (unsigned char *p = b.memory + size; p < b.map + b.map_size; p++)
        *p = vt_canary(p);
    return b;
}

static inline int vt_block_intact(const vt_block *b)
{
    for (unsigned char *p = b->map; p < b->memory; p++)
        if (*p != vt_canary(p))
            return 0;
    for (unsigned char *p = b->memory + b->size; p < b->map + b->map_size; p++)
        if (*p != vt_canary(p))
            return 0;
    return 1;
}

static inline void vt_block_close(vt_block *b)
{
    CHECK(vt_block_intact(b), "nothing outside [memory, memory + size) is touched");
    munmap(b->map, b->map_size);
    memset(b, 0, sizeof *b);
}

/* ---- contents ---- */

static inline unsigned char vt_pattern(uint32_t seed, size_t i)
{
    return (unsigned char)(seed ^ (seed >> 8) ^ (i * 31u) ^ (i >> 8));
}

static inline void vt_fill(void *p, size_t n, uint32_t seed)
{
    unsigned char *b = (unsigned char *)p;
    for (size_t i = 0; i < n; i++)
        b[i] = vt_pattern(seed, i);
}

static inline int vt_filled(const void *p, size_t n, uint32_t seed)
{
    const unsigned char *b = (const unsigned char *)p;
    for (size_t i = 0; i < n; i++)
        if (b[i] != vt_pattern(seed, i))
            return 0;
    return 1;
}

static inline int vt_all_zero(const void *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    for (size_t i = 0; i < n; i++)
        if (b[i])
            return 0;
    return 1;
}

/* How many places of raw memory hold this word (for what WIPE must not leave behind). */
static inline size_t vt_count_word(const void *memory, size_t size, uint64_t word)
{
    static unsigned char page[1 << 16];
    size_t hits = 0;
    for (size_t at = 0; at < size; at += sizeof page) {
        size_t n = size - at < sizeof page ? size - at : sizeof page;
        vt_peek(page, (const char *)memory + at, n);
        for (size_t i = 0; i + 8 <= n; i++) {
            uint64_t v;
            memcpy(&v, page + i, 8);
            hits += v == word;
        }
    }
    return hits;
}

/* ---- fingerprint: all that the public API tells about a context ---- */

typedef struct vt_print {
    uint64_t hash;
} vt_print;

static inline int vt_print_allocation(vmma_client_t *client, void *p, size_t size, void *user)
{
    vt_print *f = (vt_print *)user;
    f->hash = vt_mix(f->hash, (uintptr_t)client);
    f->hash = vt_mix(f->hash, (uintptr_t)p);
    f->hash = vt_mix(f->hash, size);
    return 0;
}

static inline void vt_print_stats(vt_print *f, const vmma_stats_t *s)
{
    /* failed_count and largest_failed may change by a refused call */
    const size_t v[] = {s->held_size, s->live_count, s->live_size, s->cached_size, s->cached_blocks,
                        s->free_size, s->largest_free, s->overhead_size};
    for (unsigned i = 0; i < VT_COUNT(v); i++)
        f->hash = vt_mix(f->hash, v[i]);
}

static inline int vt_print_client(vmma_client_t *client, void *user)
{
    vt_print *f = (vt_print *)user;
    vmma_stats_t s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    f->hash = vt_mix(f->hash, (uintptr_t)client);
    f->hash = vt_mix(f->hash, (uintptr_t)vmma_get_user_data(client));
    f->hash = vt_mix(f->hash, vmma_get_limit(client));
    f->hash = vt_mix(f->hash, vmma_get_guarantee(client));
    f->hash = vt_mix(f->hash, vmma_get_held_size(client));
    f->hash = vt_mix(f->hash, vmma_get_peak_held_size(client));
    f->hash = vt_mix(f->hash, vmma_get_max_alloc(client));
    for (const char *n = vmma_get_name(client); n && *n; n++)
        f->hash = vt_mix(f->hash, (unsigned char)*n);
    f->hash = vt_mix(f->hash, (uint64_t)vmma_populate_client_stats(client, &s));
    vt_print_stats(f, &s);
    f->hash = vt_mix(f->hash, (uint64_t)vmma_walk_allocations(client, vt_print_allocation, f));
    return 0;
}

static inline uint64_t vt_fingerprint(vmma_context_t *c)
{
    vt_print f = {1};
    vmma_stats_t s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    const size_t v[] = {vmma_get_total_size(c), vmma_get_accepted_flags(c), vmma_get_alignment(c),
                        vmma_get_block_size(c), vmma_get_total_blocks(c), vmma_get_free_blocks(c),
                        vmma_get_peak_blocks(c), vmma_get_client_count(c), vmma_populate_cached_blocks(c)};
    for (unsigned i = 0; i < VT_COUNT(v); i++)
        f.hash = vt_mix(f.hash, v[i]);
    f.hash = vt_mix(f.hash, (uint64_t)vmma_populate_context_stats(c, &s));
    vt_print_stats(&f, &s);
    f.hash = vt_mix(f.hash, (uint64_t)vmma_walk_clients(c, vt_print_client, &f));
    return f.hash;
}

/* ---- error recorder ---- */

typedef struct vt_errors {
    int count;
    vmma_error_t last;
    vmma_context_t *context;
} vt_errors;

static inline void vt_on_error(vmma_context_t *context, const vmma_error_t *error, void *user)
{
    vt_errors *e = (vt_errors *)user;
    e->count++;
    e->context = context;
    memset(&e->last, 0, sizeof e->last);
    memcpy(&e->last, error, error->struct_size < sizeof e->last ? error->struct_size : sizeof e->last);
}

/* ---- shadow map: one owner number per 8 bytes of the memory block ---- */

typedef struct vt_shadow {
    const unsigned char *memory;
    size_t size;
    uint16_t *owner;
} vt_shadow;

static inline void vt_shadow_open(vt_shadow *s, const void *memory, size_t size)
{
    s->memory = (const unsigned char *)((uintptr_t)memory & ~(uintptr_t)7);
    s->size = size + 16;
    s->owner = (uint16_t *)calloc(s->size / 8 + 1, sizeof *s->owner);
    if (!s->owner)
        exit(2);
}

static inline void vt_shadow_close(vt_shadow *s)
{
    free(s->owner);
    s->owner = NULL;
}

/* 1 if the whole range belonged to `from` and now belongs to `to`. */
static inline int vt_shadow_move(vt_shadow *s, const void *p, size_t n, unsigned from, unsigned to)
{
    const unsigned char *b = (const unsigned char *)p;
    if (b < s->memory || n > s->size || (size_t)(b - s->memory) > s->size - n)
        return 0;
    size_t first = (size_t)(b - s->memory) / 8, last = ((size_t)(b - s->memory) + n + 7) / 8;
    for (size_t i = first; i < last; i++) {
        if (s->owner[i] != from)
            return 0;
        s->owner[i] = (uint16_t)to;
    }
    return 1;
}

static inline vmma_stats_t vt_client_stats(vmma_client_t *client)
{
    vmma_stats_t s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK_ST(vmma_populate_client_stats(client, &s), VMMA_OK, "vmma_populate_client_stats returns OK");
    return s;
}

static inline vmma_stats_t vt_context_stats(vmma_context_t *context)
{
    vmma_stats_t s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK_ST(vmma_populate_context_stats(context, &s), VMMA_OK, "vmma_populate_context_stats returns OK");
    return s;
}

#endif
