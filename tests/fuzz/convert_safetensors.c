// Safetensors headers: any bytes are read or refused with a message, and what is read lies inside them.
#include "convert/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void touch(const struct safetensors *file)
{
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        for (uint64_t j = 0; j < tensor->bytes; j++)
            sink += tensor->data[j];
        if (safetensors_find(file, tensor->name) == NULL) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    if (safetensors_open_memory(data, size, "m.safetensors", &file) == TERN_OK) {
        touch(&file);
        safetensors_close(&file);
    } else if (strncmp(status_message(), "m.safetensors: ", 15) != 0) {
        abort();
    }
    return 0;
}
