/* quickstart.c - the example of the README: one heap for one program, gone in one call. */
#include <libvmma.h>
#include <stdio.h>
#include <string.h>

static char memory[1 << 20];

int main(void)
{
    vmma_context_t *context = vmma_create_context(memory, sizeof memory, 0, 0, 0);
    vmma_client_t *program = vmma_create_client(context);
    vmma_client_t *other = vmma_create_client(context);
    char *text = vmma_alloc(program, 100);
    if (!text)
        return 1;
    strcpy(text, "hello from a heap of its own");
    printf("%s: %zu bytes\n", text, vmma_get_size(program, text));
    printf("a stray free: %s\n", vmma_status_string(vmma_free(other, text)));
    vmma_delete_client(program); /* however much it had allocated, or leaked */
    printf("%zu blocks free\n", vmma_get_free_blocks(context));
    return vmma_delete_context(context);
}
