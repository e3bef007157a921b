// Any bytes as a GGUF file: it opens, and all that it offers can be read, or it is refused with words.
#include "../support/gguf_touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile unsigned sink; // keeps the reads
    struct gguf_file *file;
    if (gguf_open_memory(data, size, "fuzz.gguf", &file) != TERN_OK) {
        if (status_message()[0] == '\0') abort();
        return 0;
    }
    sink = sink + touch_file(file);
    gguf_close(file);
    return 0;
}
