/*
 * pairs.c N SIZE: N pairs of alloc and free. run.sh counts instructions under callgrind with it: a tool that
 * only watches time must see the fast path, and that path has its bound.
 */
#include <stdio.h>
#include <stdlib.h>
#include "libvmma.h"

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 0;
    size_t size = argc > 2 ? (size_t)atol(argv[2]) : 64;
    vmma_context_t *context = vmma_create_context(NULL, 1 << 20, 0, 0, 0);
    vmma_client_t *client = vmma_create_client(context);
    for (long i = 0; i < count; i++) {
        void *p = vmma_alloc(client, size);
        if (p == NULL || vmma_free(client, p) != VMMA_OK)
            return 1;
    }
    vmma_delete_context(context);
    puts("survived");
    return 0;
}
