# The chat page's files (web/dist/, built from web/ and committed) as a C file of the room serve, so that the command
# has them wherever it is installed: as they are and, where that is smaller, compressed. Without them the program is
# built without the page.
#
# As a script (cmake -DDIST=... -DOUT=... -P page.cmake) it writes that file.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(dist ${PROJECT_SOURCE_DIR}/web/dist)
  file(GLOB_RECURSE page_files CONFIGURE_DEPENDS ${dist}/*)
  set(page_source ${CMAKE_CURRENT_BINARY_DIR}/page_files.c)
  add_custom_command(OUTPUT ${page_source}
                     COMMAND ${CMAKE_COMMAND} -DDIST=${dist} -DOUT=${page_source} -P ${CMAKE_CURRENT_LIST_FILE}
                     DEPENDS ${CMAKE_CURRENT_LIST_FILE} ${page_files} VERBATIM)
  target_sources(tern_serve PRIVATE ${page_source})
  return()
endif()

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_txt "text/plain; charset=utf-8")
set(type_json "application/json")
set(type_webmanifest "application/manifest+json")
set(type_svg "image/svg+xml")
set(type_png "image/png")
set(type_ico "image/x-icon")
set(type_woff2 "font/woff2")

set(compressed ${OUT}.gz)
set(ENV{SOURCE_DATE_EPOCH} 0) # no time in what is compressed: the same files make the same program

# embed(PATH NAME): an array NAME of the file's bytes, and in `body` its initializer of a struct page_body.
function(embed path name)
  file(READ ${path} bytes HEX)
  file(SHA256 ${path} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  file(SIZE ${path} length)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char ${name}[] = {${bytes}0};\n")
  set(arrays "${arrays}" PARENT_SCOPE)
  set(body "{${name}, ${length}, \"\\\"${hash}\\\"\"}" PARENT_SCOPE)
endfunction()

# is_smaller(OUT_VAR PATH): writes ${compressed}; whether it is worth having, by a tenth.
function(is_smaller out path)
  file(ARCHIVE_CREATE OUTPUT ${compressed} PATHS ${path} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
  file(SIZE ${path} before)
  file(SIZE ${compressed} after)
  math(EXPR saved "10 * (${before} - ${after})")
  if(saved GREATER before)
    set(${out} TRUE PARENT_SCOPE)
  else()
    set(${out} FALSE PARENT_SCOPE)
  endif()
endfunction()

file(GLOB_RECURSE files RELATIVE ${DIST} ${DIST}/*)
list(FILTER files EXCLUDE REGEX "\\.sha256$|\\.map$")
list(SORT files)
set(arrays "")
set(entries "")
set(count 0)
foreach(path ${files})
  string(REGEX REPLACE ".*\\." "" extension ${path})
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "${DIST}/${path}: no content type is known for .${extension} (cmake/page.cmake)")
  endif()
  set(immutable false)
  if(path MATCHES "^assets/.*-[A-Za-z0-9_-]+\\.[a-z0-9]+$") # named by a hash of what is in it
    set(immutable true)
  endif()
  embed(${DIST}/${path} file_${count})
  string(APPEND entries "    {\"${path}\", \"${type_${extension}}\", ${immutable}, ${body}, ")
  is_smaller(worth ${DIST}/${path})
  if(worth)
    embed(${compressed} file_${count}_gzip)
  else()
    set(body "{0}")
  endif()
  string(APPEND entries "${body}},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(REMOVE ${compressed})
file(WRITE ${OUT} "// Made by cmake/page.cmake of web/dist/.\n#include \"serve/page.h\"\n\n${arrays}\n"
                  "const struct page_file page_files[] = {\n${entries}    {0},\n};\n"
                  "const size_t page_file_count = ${count};\n")
