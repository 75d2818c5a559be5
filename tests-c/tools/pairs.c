/*
 * pairs.c N: N pairs of alloc and free of 64 bytes. run.sh counts instructions under callgrind with it: a tool that
 * only watches time must see the fast path.
 */
#include <stdio.h>
#include <stdlib.h>
#include "libvmma.h"

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 0;
    vmma_context_t *context = vmma_create_context(NULL, 1 << 20, 0, 0, 0);
    vmma_client_t *client = vmma_create_client(context);
    for (long i = 0; i < count; i++) {
        void *p = vmma_alloc(client, 64);
        if (p == NULL || vmma_free(client, p) != VMMA_OK)
            return 1;
    }
    vmma_delete_context(context);
    puts("survived");
    return 0;
}
