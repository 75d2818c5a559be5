/*
 * deleted_context.c: handles of a deleted context over given memory, context and clients, in every function: seen
 * to be dead while the memory is untouched. Public API only.
 */
#include "misuse.h"
#include "../every.h"

static void run(void *arg)
{
    vmma_flags_t f = *(vmma_flags_t *)arg;
    for (size_t offset = 0; offset < 64; offset += 8) {
        vt_block m = vt_block_open(300000, offset);
        vmma_context_t *c = vmma_create_context(m.memory, m.size, 0, 4096, f);
        vmma_client_t *k[12];
        unsigned char *p[12];
        vt_errors e = {0};
        CHECK(c != NULL, "a context over given memory");
        vmma_set_error_handler(c, vt_on_error, &e);
        for (int i = 0; i < 12; i++) {
            k[i] = vmma_create_client(c);
            p[i] = (unsigned char *)vmma_alloc(k[i], 100 + (size_t)i * 700);
            CHECK(p[i] != NULL, "something live");
        }
        vmma_delete_client(k[5]);
        CHECK_ST(vmma_delete_context(c), VMMA_OK, "vmma_delete_context");
        every_context_function(c, p[0]);
        for (int i = 0; i < 12; i++)
            every_client_function(k[i], p[i]);
        CHECK_EQ(e.count, 0, "the dead context's error handler is not called");
        /* a new context over the same memory: old handles that are not its own stay dead */
        vmma_context_t *n = vmma_create_context(m.memory, m.size, 0, 4096, f);
        CHECK(n != NULL, "a new context over the same memory");
        CHECK_EQ(vmma_get_client_count(n), 0, "it has no clients");
        /* The first four slots are records again. The others were in blocks that nobody has yet in the new context, and
           memcheck, which is told so, reports that a handle is looked for there. */
        int const seen = vt_tool() && strcmp(vt_tool(), "valgrind") == 0 ? 4 : 12;
        for (int i = 0; i < seen; i++)
            CHECK_ST(vmma_free(k[i], p[i]), VMMA_E_INVALID, "clients of the context before are not clients of the new one");
        CHECK_ST(vmma_check_context(n), VMMA_OK, "the new context is sound");
        CHECK_ST(vmma_delete_context(n), VMMA_OK, "it ends");
        vt_block_close(&m);
    }
}

static void in_mode(vmma_flags_t f)
{
    vt_outcome out = vt_fork(run, &f);
    CHECK_EQ(out.signal, 0, "handles of a deleted context over given memory do not crash the program");
    CHECK(out.signal || (out.exited && out.code == 0), "all of it passed");
}

int main(void)
{
    vt_begin("misuse/deleted_context");
    vt_each_mode(in_mode);
    return vt_end();
}
