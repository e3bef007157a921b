// tokenizer.model: any bytes are read or refused with a message, and what is read lies inside them.
#include "convert/sentencepiece_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sentencepiece_file file;
    if (sentencepiece_file_read("t.model", data, size, &file) != TERN_OK &&
        strncmp(status_message(), "t.model: ", 9) != 0)
        abort();
    for (size_t i = 0; i < file.count; i++)
        for (size_t j = 0; j < file.pieces[i].length; j++)
            sink += (unsigned char)file.pieces[i].text[j];
    sentencepiece_file_free(&file);
    return 0;
}
