# The libraries that tern stands on, as imported targets PkgConfig::NAME.

# tern_require(NAME module debian-package): stops with the words that help. `module` may say a version: "NAME>=VERSION".
macro(tern_require name module package)
  pkg_check_modules(${name} IMPORTED_TARGET ${module})
  if(NOT ${name}_FOUND)
    string(REGEX REPLACE ">=.*" "" any_version ${module})
    pkg_check_modules(${name}_ANY QUIET ${any_version})
    if(${name}_ANY_FOUND)
      message(FATAL_ERROR "${any_version} ${${name}_ANY_VERSION} is too old: tern needs ${module}.")
    endif()
    message(FATAL_ERROR "${module} was not found (pkg-config --exists ${module}).\n"
                        "On Debian and Ubuntu: sudo apt-get install ${package}\n"
                        "Everything at once, and the names on other systems: scripts/install-dependencies build")
  endif()
endmacro()

find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "pkg-config was not found.\nOn Debian and Ubuntu: sudo apt-get install pkg-config")
endif()
tern_require(PCRE2 libpcre2-8 libpcre2-dev)
tern_require(UTF8PROC libutf8proc libutf8proc-dev)
tern_require(JANSSON jansson libjansson-dev)
tern_require(EDIT libedit libedit-dev)
tern_require(CURL "libcurl>=7.85" libcurl4-openssl-dev)
tern_require(CRYPTO "libcrypto>=1.1.1" libssl-dev)
tern_require(MICROHTTPD "libmicrohttpd>=0.9.71" libmicrohttpd-dev)
