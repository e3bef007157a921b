# share/published.csv as a C file of the room eval, so that the command finds it wherever it is installed.

set(published ${PROJECT_SOURCE_DIR}/share/published.csv)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${published})
file(READ ${published} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/published.c CONTENT [[
#include <stddef.h>

extern const char density_published_csv[];
extern const size_t density_published_csv_bytes;

const char density_published_csv[] = {@bytes@};
const size_t density_published_csv_bytes = sizeof density_published_csv;
]] @ONLY)
target_sources(tern_eval PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/published.c)
