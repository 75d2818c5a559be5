/*
 * misuse.h: a scene for the misuse table: a context over given memory at an odd address, two clients with live
 * allocations of many sizes, an error recorder; and the proof that a refused call changed nothing. Shared by
 * the programs of this directory. Knows the public API only.
 */
#ifndef VT_MISUSE_H
#define VT_MISUSE_H

#include "../vt_ctx.h"

enum { SCENE_N = 48 };

typedef struct scene {
    vt_block m;
    vmma_context_t *c;
    vmma_client_t *k[2];
    unsigned char *p[2][SCENE_N];
    size_t size[2][SCENE_N];
    size_t bs;
    vmma_flags_t f;
    vt_errors e;
    uint64_t print;
    unsigned char *snapshot;
} scene;

static const size_t scene_sizes[] = {1, 8, 16, 24, 32, 40, 64, 100, 128, 200, 256, 500, 512, 1000, 1024, 1500, 2048, 4000, 4096, 6000, 8192, 9000, 20000};

static inline uint32_t scene_seed(int k, int i)
{
    return (uint32_t)(k * 100 + i + 1);
}

static inline int scene_open(scene *s, vmma_flags_t f)
{
    memset(s, 0, sizeof *s);
    s->f = f;
    s->bs = 8192;
    s->m = vt_block_open(900000, 104);
    s->c = vmma_create_context(s->m.memory, s->m.size, 16, s->bs, f);
    CHECK(s->c != NULL, "a context for the misuse table");
    if (!s->c)
        return 0;
    vmma_set_error_handler(s->c, vt_on_error, &s->e);
    for (int k = 0; k < 2; k++)
        s->k[k] = vmma_create_client(s->c);
    for (int i = 0; i < SCENE_N; i++)
        for (int k = 0; k < 2; k++) {
            s->p[k][i] = (unsigned char *)vmma_alloc(s->k[k], scene_sizes[(unsigned)i % VT_COUNT(scene_sizes)]);
            if (!s->p[k][i]) {
                CHECK(s->p[k][i] != NULL, "an allocation of the scene");
                return 0;
            }
            s->size[k][i] = vmma_get_size(s->k[k], s->p[k][i]);
            vt_fill(s->p[k][i], s->size[k][i], scene_seed(k, i));
        }
    s->snapshot = (unsigned char *)malloc(s->m.size);
    if (!s->snapshot)
        exit(2);
    return 1;
}

/* Takes allocation i of client k out of the scene: the caller frees it. */
static inline unsigned char *scene_take(scene *s, int k, int i)
{
    unsigned char *p = s->p[k][i];
    s->p[k][i] = NULL;
    return p;
}

static inline int scene_contents(const scene *s)
{
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < SCENE_N; i++)
            if (s->p[k][i] && (!vt_filled(s->p[k][i], s->size[k][i], scene_seed(k, i)) || vmma_get_size(s->k[k], s->p[k][i]) != s->size[k][i]))
                return 0;
    return 1;
}

static inline void scene_before(scene *s)
{
    s->print = vt_fingerprint(s->c);
    s->e.count = 0;
    vt_peek(s->snapshot, s->m.memory, s->m.size);
    errno = VT_ERRNO_MARK;
}

/*
 * Nothing changed: what the getters tell, all contents, and the raw memory but for the last status, the counts of
 * failures and what is derived from them, which all lie close together in the client's record.
 */
static inline void scene_after(scene *s)
{
    static unsigned char page[1 << 16];
    size_t changed = 0, first = 0, last = 0;
    CHECK_EQ(errno, VT_ERRNO_MARK, "a refused call leaves errno alone");
    for (size_t at = 0; at < s->m.size; at += sizeof page) {
        size_t n = s->m.size - at < sizeof page ? s->m.size - at : sizeof page;
        vt_peek(page, s->m.memory + at, n);
        if (memcmp(page, s->snapshot + at, n) == 0)
            continue;
        for (size_t i = 0; i < n; i++)
            if (page[i] != s->snapshot[at + i]) {
                last = at + i;
                if (changed++ == 0)
                    first = last;
            }
    }
    CHECK(changed <= 64, "a refused call changes no record but the last status and counts of failures");
    if (changed) {
        CHECK(vmma_find_client(s->c, s->m.memory + first) == NULL && vmma_find_client(s->c, s->m.memory + last) == NULL,
              "a refused call writes into no allocation");
        CHECK(last - first < 4096, "a refused call writes near the client's record only");
    }
    CHECK(vt_fingerprint(s->c) == s->print, "a refused call leaves the state as it was");
    CHECK(scene_contents(s), "a refused call leaves every client's contents");
    CHECK_ST(vmma_check_context(s->c), VMMA_OK, "a refused call leaves the records sound");
}

/* A free that must be refused with exactly this status. */
static inline void scene_refuse(scene *s, vmma_client_t *client, void *address, int status)
{
    scene_before(s);
    int got = vmma_free(client, address);
    int e = errno;
    CHECK_ST(got, status, "misuse is refused with the exact status");
    CHECK_EQ(s->e.count, 1, "the error handler is told of misuse, once");
    CHECK_ST(s->e.last.status, status, "the error handler is told the exact status");
    CHECK_PTR(s->e.last.client, client, "the error handler is told the client called");
    CHECK_PTR(s->e.last.address, address, "the error handler is told the address as passed");
    CHECK_PTR(s->e.context, s->c, "the error handler is told the context");
    if (status != VMMA_E_NOT_START) {
        CHECK_PTR(s->e.last.allocation, NULL, "no live allocation of this client is concerned");
        CHECK_EQ(s->e.last.size, 0, "and no size");
    }
    CHECK_ST(vmma_get_last_status(client), status, "misuse is the client's last status");
    errno = e;
    scene_after(s);
}

/* The same by vmma_realloc: NULL, EINVAL, the exact status kept. */
static inline void scene_refuse_realloc(scene *s, vmma_client_t *client, void *address, size_t size, int status)
{
    scene_before(s);
    errno = 0;
    CHECK(vmma_realloc(client, address, size) == NULL, "vmma_realloc of what is not a live allocation's start fails");
    CHECK_EQ(errno, EINVAL, "vmma_realloc of what is not a live allocation's start: EINVAL");
    CHECK_EQ(s->e.count, 1, "the error handler is told of a misused vmma_realloc, once");
    CHECK_ST(s->e.last.status, status, "the error handler is told the exact status by vmma_realloc");
    CHECK_ST(vmma_get_last_status(client), status, "the exact status is the last status after vmma_realloc");
    errno = VT_ERRNO_MARK;
    scene_after(s);
}

static inline void scene_close(scene *s)
{
    if (s->c) {
        CHECK(scene_contents(s), "contents at the end");
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < SCENE_N; i++)
                if (s->p[k][i])
                    CHECK_ST(vmma_free(s->k[k], s->p[k][i]), VMMA_OK, "after all that misuse everything is freed");
        CHECK_ST(vmma_check_context(s->c), VMMA_OK, "and the records are sound");
        CHECK_ST(vmma_delete_context(s->c), VMMA_OK, "the scene ends");
    }
    free(s->snapshot);
    vt_block_close(&s->m);
}

/* 1 if a block of this client holds the address: some live allocation of it lies in the same block. */
static inline int scene_holds(const scene *s, int k, const void *address)
{
    uintptr_t block = (uintptr_t)address / s->bs, red = s->f & VMMA_FLAG_GUARD ? 8 : 0;
    for (int i = 0; i < SCENE_N; i++)
        if (s->p[k][i] && block >= (uintptr_t)s->p[k][i] / s->bs && block <= ((uintptr_t)s->p[k][i] + s->size[k][i] + red - 1) / s->bs)
            return 1;
    return 0;
}

static scene the_scene;
static void (*scene_body)(scene *);

/* Runs the body in a child, so that a crash is one failure and not the end; checks what the parent sees. */
static inline void scene_child(void *flags)
{
    if (scene_open(&the_scene, *(vmma_flags_t *)flags))
        scene_body(&the_scene);
    scene_close(&the_scene);
}

static inline void scene_in_mode(vmma_flags_t f)
{
    vt_outcome out = vt_fork(scene_child, &f);
    CHECK_EQ(out.signal, 0, "misuse does not crash the program");
    CHECK(out.signal || (out.exited && out.code == 0), "misuse ends with all checks passed");
    if (out.err[0])
        printf("     stderr of the child: %s\n", out.err);
    CHECK(out.err[0] == 0 || vt_tool(), "misuse prints nothing without ABORT");
}

static inline int scene_main(const char *program, void (*body)(scene *))
{
    vt_begin(program);
    scene_body = body;
    vt_each_mode(scene_in_mode);
    return vt_end();
}

#endif
