# What every file is built with, as the interface library tern_flags.

option(TERN_WERROR "a compiler warning is an error" OFF)
option(TERN_FUZZ "build the libFuzzer targets (clang)" OFF)
set(TERN_SANITIZE "" CACHE STRING "sanitizers to build with: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # the rooms' objects become the shared library too
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# No contraction of a * b + c: the order of arithmetic is part of a function's contract, fmaf stands where a fused
# step is meant. For the same reason there is no link-time optimisation: it would mix files that are compiled for
# different instruction sets.
add_library(tern_flags INTERFACE)
target_compile_options(tern_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -ffp-contract=off
                                            -fno-math-errno -fno-trapping-math)
# gcc's guess at variables that "may be" uninitialised cannot see that a callee sets them whenever it returns TERN_OK;
# clang's own, exact warning and the sanitizers look after this.
target_compile_options(tern_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_compile_definitions(tern_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_include_directories(tern_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(tern_flags INTERFACE Threads::Threads m)
if(TERN_WERROR)
  target_compile_options(tern_flags INTERFACE -Werror)
endif()
if(TERN_SANITIZE)
  target_compile_options(tern_flags INTERFACE -fsanitize=${TERN_SANITIZE} -fno-sanitize-recover=all
                                              -fno-omit-frame-pointer)
  target_link_options(tern_flags INTERFACE -fsanitize=${TERN_SANITIZE})
endif()
if(TERN_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TERN_FUZZ needs clang, which brings libFuzzer; the compiler is ${CMAKE_C_COMPILER}")
  endif()
  target_compile_options(tern_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
