# Finds the C sources of llhttp and defines the static parts of it that heph-http takes in.
#
# Debian ships llhttp as sources (package node-llhttp). They become part of heph-http's own archive,
# so a program that uses heph-http needs no llhttp:
#
#   Llhttp_INCLUDE_DIR   where llhttp.h is
#   Llhttp_SOURCES       the C files to compile
#   Llhttp_VERSION       e.g. 8.1.0

find_path(Llhttp_INCLUDE_DIR NAMES llhttp.h
          PATHS /usr/share/include /usr/include PATH_SUFFIXES llhttp)
find_path(Llhttp_SOURCE_DIR NAMES llhttp.c PATHS /usr/share PATH_SUFFIXES llhttp llhttp/src)

if(Llhttp_INCLUDE_DIR)
    foreach(part MAJOR MINOR PATCH)
        file(STRINGS "${Llhttp_INCLUDE_DIR}/llhttp.h" line
             REGEX "^#define LLHTTP_VERSION_${part} +[0-9]+")
        string(REGEX REPLACE ".* ([0-9]+)$" "\\1" Llhttp_VERSION_${part} "${line}")
    endforeach()
    set(Llhttp_VERSION "${Llhttp_VERSION_MAJOR}.${Llhttp_VERSION_MINOR}.${Llhttp_VERSION_PATCH}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Llhttp
    REQUIRED_VARS Llhttp_SOURCE_DIR Llhttp_INCLUDE_DIR
    VERSION_VAR Llhttp_VERSION
    REASON_FAILURE_MESSAGE "on Debian and Ubuntu: apt install node-llhttp")

if(Llhttp_FOUND)
    set(Llhttp_SOURCES "${Llhttp_SOURCE_DIR}/api.c" "${Llhttp_SOURCE_DIR}/http.c"
                       "${Llhttp_SOURCE_DIR}/llhttp.c")
endif()
mark_as_advanced(Llhttp_INCLUDE_DIR Llhttp_SOURCE_DIR)
