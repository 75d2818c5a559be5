/*
 * hostile.c: a client fills every byte it ever received, live and freed, with random data and misuses whatever it
 * can, while others work. A replay with and without that gives the same addresses and results to the others.
 * Public API only. Bytes that meanwhile serve another client's blocks are not the hostile one's to write: no
 * library over plain memory could hinder it.
 */
#include "../vt_ctx.h"

enum { OTHERS = 3, SLOTS = 60, MINE = 200 };

typedef struct result {
    uint64_t hash;
    long steps, poked, refused;
} result;

static vt_block m;
static result *results;      /* shared with the parent: [0] without, [1] with */

static int held_by_others(unsigned char *at, unsigned char **p, size_t *size, size_t bs)
{
    uintptr_t block = (uintptr_t)at / bs;
    for (int i = 0; i < OTHERS * SLOTS; i++)
        if (p[i] && block >= (uintptr_t)p[i] / bs && block <= ((uintptr_t)p[i] + size[i] + 64) / bs)
            return 1;
    return 0;
}

static void scribble(vmma_context_t *c, vmma_client_t *h, unsigned char **ever, size_t *ever_size, size_t n, unsigned char **p, size_t *size, vt_random *r, result *out)
{
    static unsigned char junk[4096];
    vmma_flags_t f = vmma_get_accepted_flags(c);
    for (int tries = 0; tries < 30 && n; tries++) {
        size_t i = vt_below(r, n);
        if (held_by_others(ever[i], p, size, 8192) || held_by_others(ever[i] + ever_size[i] - 1, p, size, 8192))
            continue;
        int live = vmma_get_size(h, ever[i]) != 0;
        if ((f & (VMMA_FLAG_QUARANTINE | VMMA_FLAG_GUARD)) && !live)
            continue;   /* would rightly be found and reported */
        size_t length = live && vmma_get_size(h, ever[i]) < ever_size[i] ? vmma_get_size(h, ever[i]) : ever_size[i];
        for (size_t b = 0; b < length; b += sizeof junk) {
            size_t part = length - b < sizeof junk ? length - b : sizeof junk;
            for (size_t w = 0; w < sizeof junk; w += 8) {
                uint64_t v = vt_next(r);
                memcpy(junk + w, &v, 8);
            }
            if (!held_by_others(ever[i] + b, p, size, 8192) && !held_by_others(ever[i] + b + part - 1, p, size, 8192)) {
                vt_poke(ever[i] + b, junk, part);
                out->poked += (long)part;
            }
        }
    }
    /* misuse of everything in reach */
    for (int tries = 0; tries < 10; tries++) {
        unsigned char *victim = p[vt_below(r, OTHERS * SLOTS)];
        if (victim) {
            CHECK_ST(vmma_free(h, victim), VMMA_E_NOT_OWNED, "the hostile client cannot free what is not its own");
            CHECK(vmma_realloc(h, victim, vt_below(r, 5000)) == NULL, "nor reallocate it");
        }
        vmma_free(h, (void *)(uintptr_t)vt_next(r));
        vmma_free(h, m.memory + vt_below(r, m.size) / 2 * 2 + 1);
        if (n)
            vmma_free(h, ever[vt_below(r, n)] + 1 + vt_below(r, 40) * 2);
        out->refused += 4;
    }
}

static void play(vmma_flags_t f, int with, result *out)
{
    static unsigned char *p[OTHERS * SLOTS], *mine[MINE], *ever[4000];
    static size_t size[OTHERS * SLOTS], ever_size[4000];
    vt_random r = {f + 1}, evil = {f + 2};
    vmma_client_t *k[OTHERS];
    size_t n_ever = 0;
    memset(p, 0, sizeof p);
    memset(mine, 0, sizeof mine);
    memset(m.memory, 0x5a, m.size);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 8192, f);
    CHECK(c != NULL, "a context");
    for (int i = 0; i < OTHERS; i++)
        k[i] = vmma_create_client(c);
    vmma_client_t *h = vmma_create_client(c);
    for (long step = 0; step < vt_loops(12000, 1500); step++) {
        if (step % 3 == 0) {   /* the hostile client's turn: what it asks is the same with and without */
            size_t i = vt_below(&r, MINE), n = vt_log_size(&r, 1, 12000);
            if (mine[i]) {
                out->hash = vt_mix(out->hash, (uint64_t)vmma_free(h, mine[i]));
                mine[i] = NULL;
            } else if ((mine[i] = (unsigned char *)vmma_alloc(h, n)) != NULL) {
                size_t e = n_ever < 4000 ? n_ever++ : vt_below(&r, 4000);
                ever[e] = mine[i];
                ever_size[e] = vmma_get_size(h, mine[i]);
            }
            if (with && step % 30 == 0)
                scribble(c, h, ever, ever_size, n_ever, p, size, &evil, out);
            continue;
        }
        int i = (int)vt_below(&r, OTHERS * SLOTS);
        vmma_client_t *who = k[i % OTHERS];
        size_t n = vt_log_size(&r, 1, step % 50 ? 1500 : 30000);
        if (!p[i]) {
            p[i] = (unsigned char *)vmma_alloc(who, n);
            size[i] = p[i] ? vmma_get_size(who, p[i]) : 0;
            if (p[i] && (f & VMMA_FLAG_ZERO))
                CHECK(vt_all_zero(p[i], size[i]), "ZERO holds for the others, whatever a hostile client wrote into freed memory");
            if (p[i])
                vt_fill(p[i], size[i], (uint32_t)i);
        } else if (step % 4 == 0) {
            unsigned char *q = (unsigned char *)vmma_realloc(who, p[i], n);
            if (q) {
                CHECK(vt_filled(q, n < size[i] ? n : size[i], (uint32_t)i), "the others' contents stay");
                p[i] = q;
                size[i] = vmma_get_size(who, q);
                vt_fill(q, size[i], (uint32_t)i);
            }
        } else {
            CHECK(vt_filled(p[i], size[i], (uint32_t)i), "the others' contents stay until they free");
            out->hash = vt_mix(out->hash, (uint64_t)vmma_free(who, p[i]));
            p[i] = NULL;
        }
        out->hash = vt_mix(out->hash, p[i] ? (uint64_t)(p[i] - m.memory) : 1);
        out->hash = vt_mix(out->hash, size[i]);
        out->hash = vt_mix(out->hash, vmma_get_held_size(who));
        out->hash = vt_mix(out->hash, (uint64_t)vmma_get_last_status(who));
        out->steps++;
        if (step % 500 == 0) {
            CHECK_ST(vmma_check_context(c), VMMA_OK, "the records stay sound");
            for (int o = 0; o < OTHERS; o++)
                out->hash = vt_mix(out->hash, vmma_get_max_alloc(k[o]));
        }
    }
    for (int i = 0; i < OTHERS * SLOTS; i++)
        if (p[i])
            CHECK(vt_filled(p[i], size[i], (uint32_t)i), "the others' contents are intact at the end");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "the records are sound at the end");
    CHECK_ST(vmma_delete_client(h), VMMA_OK, "the hostile client is deleted");
    CHECK_ST(vmma_delete_context(c), VMMA_OK, "the context ends");
}

static vmma_flags_t mode;

static void child(void *with)
{
    play(mode, *(int *)with, &results[*(int *)with]);
}

static void in_mode(vmma_flags_t f)
{
    mode = f;
    memset(results, 0, sizeof *results * 2);
    m = vt_block_open(1 << 20, 1000);
    for (int with = 0; with < 2; with++) {
        vt_mode("%s %s", vt_flags_text(f), with ? "with" : "without");
        vt_outcome out = vt_fork(child, &with);
        CHECK(out.signal == 0 && out.exited && out.code == 0, "the replay ends with all checks passed");
    }
    CHECK(results[0].steps > 0 && results[0].steps == results[1].steps, "both replays made the same steps");
    CHECK(results[1].poked > 10000 && results[1].refused > 100, "the hostile client did its worst");
    CHECK(results[0].hash == results[1].hash, "with and without: the same addresses and results for the others");
    vt_block_close(&m);
}

int main(void)
{
    vt_begin("misuse/hostile");
    results = (result *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    vt_each_mode(in_mode);
    if (vt_has(VMMA_FLAG_ZERO | VMMA_FLAG_WIPE))
        in_mode(VMMA_FLAG_ZERO | VMMA_FLAG_WIPE);
    if (vt_has(VMMA_FLAG_GUARD | VMMA_FLAG_PACKED))
        in_mode(VMMA_FLAG_GUARD | VMMA_FLAG_PACKED);
    return vt_end();
}
