/*
 * exhaustion.c: a client at exhaustion never changes the success or failure of requests up to a block of a client
 * within its guarantee. The same requests are replayed with and without a neighbour that takes all that is to be had
 * after each of them. Public API only.
 */
#include "../vt_ctx.h"

enum { BLOCK = 8192, GUARANTEE = 6, SLOTS = 400 };

typedef struct result {
    uint64_t hash;
    long steps, served, refused, starved;
} result;

static vt_block m;
static result *results;      /* shared with the parent: [0] without, [1] with */
static vmma_flags_t mode;

/* Takes memory until nothing is left for it, in pieces of several sizes, and gives some back. */
static void starve(vmma_client_t *h, vt_random *r, result *out)
{
    static void *last[64];
    static unsigned n;
    for (size_t size = BLOCK; size >= 16; size /= 8)
        for (void *p; (p = vmma_alloc(h, size)) != NULL; n++) {
            if (vt_below(r, 4) == 0 && last[n % 64])
                vmma_free(h, last[n % 64]);
            last[n % 64] = p;
        }
    CHECK_ST(vmma_get_last_status(h), VMMA_E_NO_MEMORY, "the neighbour is at exhaustion");
    out->starved++;
}

/* With PACKED a piece may lie across two neighbouring blocks, so what fits into memory that is nearly full depends on which
 * blocks it is; there the program keeps to a quarter of its guarantee. Elsewhere it goes on until it fails. A request with
 * its red zone is to fit a block: neighbouring blocks are not guaranteed. */
static void play(int with, result *out)
{
    static unsigned char *p[SLOTS];
    static size_t size[SLOTS];
    size_t live = 0, block = BLOCK - (mode & VMMA_FLAG_GUARD ? 64 : 0), most = mode & VMMA_FLAG_PACKED ? (size_t)GUARANTEE * BLOCK / 4 : SIZE_MAX;
    vt_random r = {mode + 3}, evil = {mode + 4};
    memset(p, 0, sizeof p);
    memset(m.memory, 0x5a, m.size);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, BLOCK, mode);
    CHECK(c != NULL, "a context");
    vmma_client_t *k = vmma_create_client(c), *h = vmma_create_client(c);
    CHECK_ST(vmma_set_guarantee(k, (size_t)GUARANTEE * BLOCK), VMMA_OK, "a guarantee");
    CHECK_ST(vmma_set_limit(k, (size_t)GUARANTEE * BLOCK), VMMA_OK, "and no more than that");
    for (long step = 0; step < vt_loops(20000, 2500); step++) {
        size_t i = vt_below(&r, SLOTS), n = vt_log_size(&r, 1, step % 10 ? 600 : block);
        int again = step % 5 == 0, kind = (int)vt_below(&r, 100);
        if (p[i] && !again) {
            CHECK_ST(vmma_free(k, p[i]), VMMA_OK, "a free");
            live -= size[i];
            p[i] = NULL;
        } else if (live + n <= most) {
            unsigned char *q = (unsigned char *)(p[i] ? vmma_realloc(k, p[i], n) : kind ? vmma_alloc(k, n) : vmma_aligned_alloc(k, 256, n));
            out->hash = vt_mix(out->hash, q ? vmma_get_size(k, q) : (uint64_t)vmma_get_last_status(k));
            out->served += q != NULL;
            out->refused += q == NULL;
            if (!q)
                CHECK_ST(vmma_get_last_status(k), VMMA_E_LIMIT, "within its guarantee a client fails at its own limit only");
            if (q) {
                live += n - (p[i] ? size[i] : 0);
                p[i] = q;
                size[i] = n;
            }
        }
        if (with)
            starve(h, &evil, out);
        if (step % 400 == 0) {
            out->hash = vt_mix(out->hash, mode & VMMA_FLAG_PACKED || vmma_get_max_alloc(k) > block ? block : vmma_get_max_alloc(k));
            CHECK_ST(vmma_check_context(c), VMMA_OK, "the records stay sound");
        }
        out->steps++;
    }
    CHECK_ST(vmma_delete_context(c), VMMA_OK, "the context ends");
}

static void child(void *with)
{
    play(*(int *)with, &results[*(int *)with]);
}

static void in_mode(vmma_flags_t f)
{
    mode = f;
    memset(results, 0, sizeof *results * 2);
    m = vt_block_open(300000, 1000);
    for (int with = 0; with < 2; with++) {
        vt_mode("%s %s", vt_flags_text(f), with ? "with" : "without");
        vt_outcome out = vt_fork(child, &with);
        CHECK(out.signal == 0 && out.exited && out.code == 0, "the replay ends with all checks passed");
    }
    CHECK(results[0].steps > 0 && results[0].steps == results[1].steps, "both replays made the same steps");
    CHECK(results[1].starved == results[1].steps && results[0].starved == 0, "the neighbour was at exhaustion all the time");
    CHECK(results[0].served > 500, "requests were served");
    CHECK((f & VMMA_FLAG_PACKED) ? results[0].refused == 0 : results[0].refused > 20, "and refused, where the program goes so far");
    CHECK(results[0].hash == results[1].hash && results[0].refused == results[1].refused, "with and without the neighbour the same requests succeed and fail");
    vt_block_close(&m);
}

int main(void)
{
    vt_begin("misuse/exhaustion");
    results = (result *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    vt_each_mode(in_mode);
    if (vt_has(VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE))
        in_mode(VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE);
    if (vt_has(VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE))
        in_mode(VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE);
    return vt_end();
}
