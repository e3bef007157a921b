# libtern, shared and static, made of the rooms' objects; what is installed.

include(GNUInstallDirs)

# libtern_target(KIND sources...)
function(libtern_target kind)
  string(TOLOWER ${kind} suffix)
  set(target libtern_${suffix})
  add_library(${target} ${kind} ${ARGN})
  target_link_libraries(${target} PRIVATE PkgConfig::PCRE2 PkgConfig::UTF8PROC Threads::Threads m)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME tern VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
  if(TERN_SANITIZE)
    target_link_options(${target} PUBLIC -fsanitize=${TERN_SANITIZE})
  endif()
endfunction()

set(objects)
get_property(rooms GLOBAL PROPERTY TERN_ROOMS)
foreach(room ${rooms})
  list(APPEND objects $<TARGET_OBJECTS:${room}>)
endforeach()
libtern_target(SHARED ${objects})
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT TERN_SANITIZE) # clang leaves its sanitizers to the program
  target_link_options(libtern_shared PRIVATE -Wl,--no-undefined)
endif()

# An archive's members see each other only through global names, so an ordinary one would put the names of all rooms
# into every program that links it. Linked into one object first, with hidden names made local, it offers tern.h and
# nothing else. (Sanitizers keep tables between their objects, and not every system has GNU's objcopy.)
if(CMAKE_OBJCOPY AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT TERN_SANITIZE)
  set(whole ${CMAKE_CURRENT_BINARY_DIR}/tern.o)
  add_custom_command(
    OUTPUT ${whole}
    COMMAND ${CMAKE_LINKER} -r -o ${whole} ${objects}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${whole}
    DEPENDS ${objects}
    COMMAND_EXPAND_LISTS VERBATIM)
  libtern_target(STATIC ${whole})
else()
  libtern_target(STATIC ${objects})
endif()

# The prefix as seen from the .pc file, so that an installed tree can be moved.
file(RELATIVE_PATH TERN_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" TERN_PC_TO_PREFIX ${TERN_PC_TO_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/tern.pc.in tern.pc @ONLY)

install(TARGETS tern libtern_shared libtern_static
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/tern/tern.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tern.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
