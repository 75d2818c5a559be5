/*
 * many_clients.c: ten thousand clients in one context with 4 KiB blocks, what an idle client costs, slots that
 * are used again. Public API only.
 */
#include "vt_ctx.h"

enum { BS = 4096 };

static void idle_cost(vmma_flags_t f)
{
    size_t n = (size_t)vt_loops(10000, 2000);
    vmma_context_t *c = vmma_create_context(NULL, 64 << 20, 0, BS, f);
    size_t before = vmma_get_free_blocks(c);
    vmma_client_t **k = (vmma_client_t **)calloc(n, sizeof *k);
    size_t made = 0;
    while (made < n && (k[made] = vmma_create_client(c)) != NULL)
        made++;
    CHECK_EQ(made, n, "10 000 clients in one context");
    size_t after = vmma_get_free_blocks(c);
    double each = (double)(before - after) * BS / (double)n;
    printf("many_clients: [%s] an idle client costs %.1f bytes\n", vt_flags_text(f), each);
    CHECK((before - after) * BS <= 512 * n + BS, "an idle client costs at most 512 bytes of records");
    CHECK_EQ(vmma_get_client_count(c), n, "client count");
    for (size_t i = 1; i < n; i++)
        if (k[i] == k[i - 1]) {
            CHECK(k[i] != k[i - 1], "handles are distinct");
            break;
        }
    /* all gone: slots serve again, at no further cost */
    for (size_t i = 0; i < made; i++)
        CHECK_ST(vmma_delete_client(k[i]), VMMA_OK, "each is deleted");
    CHECK(vmma_get_free_blocks(c) >= after, "deleted clients cost no more than live ones");
    size_t gone = vmma_get_free_blocks(c);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++)
            k[i] = vmma_create_client(c);
        CHECK(k[0] && k[n - 1], "as many again");
        CHECK(vmma_get_free_blocks(c) >= after, "slots are used again: no further blocks");
        for (size_t i = 0; i < n; i++)
            vmma_delete_client(k[i]);
        CHECK_EQ(vmma_get_free_blocks(c), gone, "and it ends as before");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after many clients");
    vmma_delete_context(c);
    free(k);
}

static void all_work(vmma_flags_t f)
{
    size_t n = (size_t)vt_loops(10000, 1000);
    vmma_context_t *c = vmma_create_context(NULL, 512 << 20, 0, BS, f);
    struct one {
        vmma_client_t *k;
        unsigned char *p[4];
    } *a = (struct one *)calloc(n, sizeof *a);
    static const size_t size[4] = {24, 100, 700, 1500};
    size_t fresh = 0;
    for (int life = 0; life < 2; life++) {
        for (size_t i = 0; i < n; i++) {
            a[i].k = vmma_create_client(c);
            NEED(a[i].k != NULL, "10 000 clients");
            for (int j = 0; j < 4; j++) {
                a[i].p[j] = (unsigned char *)vmma_alloc(a[i].k, size[j]);
                NEED(a[i].p[j] != NULL, "each of 10 000 clients gets memory");
                vt_fill(a[i].p[j], size[j], (uint32_t)(i * 4) + (uint32_t)j);
            }
        }
        CHECK_EQ(vmma_get_client_count(c), n, "client count");
        vt_random r = {(uint64_t)life};
        for (size_t step = 0; step < n; step++) {   /* the clients in random turn */
            size_t i = vt_below(&r, n);
            int j = (int)vt_below(&r, 4);
            CHECK(vt_filled(a[i].p[j], size[j], (uint32_t)(i * 4) + (uint32_t)j), "contents of 10 000 clients stay");
            CHECK_PTR(vmma_find_client(c, a[i].p[j] + size[j] / 2), a[i].k, "vmma_find_client among 10 000 clients");
            size_t o = vt_below(&r, n);
            if (o != i)
                CHECK_ST(vmma_free(a[o].k, a[i].p[j]), VMMA_E_NOT_OWNED, "a free by another of 10 000 clients is refused");
            CHECK_ST(vmma_free(a[i].k, a[i].p[j]), VMMA_OK, "a free");
            a[i].p[j] = (unsigned char *)vmma_alloc(a[i].k, size[j]);
            NEED(a[i].p[j] != NULL, "an allocation");
            vt_fill(a[i].p[j], size[j], (uint32_t)(i * 4) + (uint32_t)j);
        }
        if (life == 0 && f == 0)
            CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context of 10 000 clients");
        for (size_t i = 0; i < n; i++)
            CHECK_ST(vmma_delete_client(a[(i * 7919 + 13) % n].k), VMMA_OK, "clients are deleted in any order");
        CHECK_EQ(vmma_get_client_count(c), 0, "none is left");
        if (life == 0)
            fresh = vmma_get_free_blocks(c);
        else
            CHECK_EQ(vmma_get_free_blocks(c), fresh, "a second life of 10 000 clients costs no further block");
    }
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context when all are gone");
    vmma_delete_context(c);
    free(a);
}

/* clients until the memory is gone: a clean failure, and everything works on */
static void until_full(vmma_flags_t f)
{
    vt_block m = vt_block_open(300000, 16);
    vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, BS, f);
    vmma_client_t *first = vmma_create_client(c), *k, *last = NULL;
    void *p = vmma_alloc(first, 100);
    size_t n = 1;
    memset(p, 9, 100);
    errno = 0;
    while (n < 100000 && (k = vmma_create_client(c)) != NULL) {
        last = k;
        n++;
    }
    CHECK(n > 100 && n < 100000, "clients until the context is exhausted");
    CHECK_EQ(errno, ENOMEM, "vmma_create_client of an exhausted context: ENOMEM");
    CHECK_EQ(vmma_get_client_count(c), n, "client count");
    CHECK_EQ(((unsigned char *)p)[99], 9, "contents stay");
    CHECK_ST(vmma_free(first, p), VMMA_OK, "a client works in a context full of clients");
    CHECK_ST(vmma_delete_client(last), VMMA_OK, "one is deleted");
    CHECK((k = vmma_create_client(c)) != NULL, "its slot serves a new one");
    CHECK(vmma_alloc(first, 100) != NULL, "memory of its own serves the first client");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context of a context full of clients");
    vmma_delete_context(c);
    vt_block_close(&m);
}

int main(void)
{
    vt_begin("many_clients");
    vt_each_mode(idle_cost);
    vt_each_mode(all_work);
    vt_each_mode(until_full);
    return vt_end();
}
